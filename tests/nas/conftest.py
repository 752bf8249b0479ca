# SPDX-License-Identifier: Apache-2.0
"""One search on a small data set, which several files look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchResult
    from tinytailor.nas.settings import SearchSettings

ENERGY = """
[energy.usb]
supply = "3.3 V"
volts = 3.3
active_mw = 40
idle_mw = 2
idle_source = "a guess"
source = "a guess"
"""


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    """Settings for two frequencies in noise, 20 samples of 2 sensors, with a synthetic table."""
    from synthetic_table import write_table

    from tinytailor.nas.settings import SearchSettings
    from tinytailor.nas.spaces import build_space
    from tinytailor.targets import Board, load_target

    folder = tmp_path_factory.mktemp("search")
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    time = np.arange(20)[None, :, None] / 20
    x = np.sin(6.28 * ((2 + 3 * y[:, None, None]) * time + rng.uniform(size=(40, 1, 2))))
    np.savez(folder / "waves.npz", x=x + 0.1 * rng.normal(size=x.shape), y=y)
    board = load_target("nucleo-f446re")
    assert isinstance(board, Board)
    (folder / "board.toml").write_text(board.definition + ENERGY)
    write_table(folder / "table.jsonl", build_space("micronas", 20, 2, 2), board)
    return SearchSettings(
        data=f"npz:{folder / 'waves.npz'}",
        targets=(str(folder / "board.toml"),),
        tables=(str(folder / "table.jsonl"),),
        run=str(folder / "whole"),
        space="micronas",
        algorithm="dnas",
        latency_ms=2.0,
        energy_uj=20,  # 0.5 ms at 40 mW
        ram_bytes=8 * 1024,
        flash_bytes=24 * 1024,
        trials=2,
        search_epochs=4,
        trial_epochs=3,
        epochs=30,
        quantized_epochs=6,
        batch=16,
    )


@pytest.fixture(scope="session")
def whole(base: SearchSettings) -> SearchResult:
    from tinytailor.nas.run import search

    return search(base)
