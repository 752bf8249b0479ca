# SPDX-License-Identifier: Apache-2.0
"""A whole search on images of 8 x 8 pixels, from an .npz file to a checked C project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_table import write_table

from tinytailor.cli.search import finish
from tinytailor.nas.run import SearchSettings, search
from tinytailor.nas.spaces import Architecture, build_space
from tinytailor.targets import Board, load_target


def bars(path: Path) -> str:
    """Grey images with noise and one bright line, which stands (1) or lies (0)."""
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    x = rng.normal(90, 25, (64, 8, 8, 1))
    for image, standing, at in zip(x, y, rng.integers(0, 8, 64), strict=True):
        image[(slice(None), at) if standing else at] += 120
    np.savez(path, x=x.clip(0, 255).astype(np.uint8), y=y)
    return f"npz:{path}"


def test_a_search_on_images_ends_in_a_project_that_computes_the_integers_of_training(
    tmp_path: Path,
) -> None:
    board = load_target("nucleo-f446re")
    assert isinstance(board, Board)
    space = build_space("image", 8, 8, 1, 2)
    write_table(tmp_path / "table.jsonl", space, board)
    settings = SearchSettings(
        data=bars(tmp_path / "bars.npz"),
        target=board.name,
        table=str(tmp_path / "table.jsonl"),
        run=str(tmp_path / "run"),
        space="image",
        latency_ms=1.0,
        ram_bytes=8 * 1024,
        flash_bytes=32 * 1024,
        trials=1,
        search_epochs=4,
        trial_epochs=1,
        epochs=16,
        quantized_epochs=3,
        batch=16,
    )
    result = search(settings)
    assert result.quantized_accuracy >= 0.75
    assert result.cost["latency_ms"] <= 1.0
    space.topology(Architecture.from_json(result.architecture))
    report = finish(settings, result, "bars")
    assert [check["on"] for check in report["verification"]] == ["host", "emulator"]
    for check in report["verification"]:
        assert check["bit_exact"]
        assert check["accuracy"] == pytest.approx(result.quantized_accuracy)
    assert report["profile"]["arena_bytes"] == result.cost["arena_bytes"] <= 8 * 1024
