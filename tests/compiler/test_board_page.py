# SPDX-License-Identifier: Apache-2.0
"""docs/board-model.md says what the board files and the counted layers say."""

from __future__ import annotations

import importlib
import json

import pytest

from tinytailor.targets import Board, load_target, target_names

pytestmark = [pytest.mark.pure]


@pytest.fixture
def pages(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("board_page")


def test_the_page_is_the_one_of_the_counts_and_the_constants_in_the_board_files(pages):
    """Written by benchmarks/board_model.py --write; after new constants: --write --cores none."""
    assert pages.PAGE.read_text() == pages.page(json.loads(pages.COUNTS.read_text()))


def test_its_times_are_those_of_the_compiler(pages, repository):
    """The baseline holds the same models, timed as a whole, perhaps by another version."""
    counts = json.loads(pages.COUNTS.read_text())["counts"]
    rows = json.loads((repository / "benchmarks" / "mcu_baseline.json").read_text())["rows"]
    compared = 0
    for key, row in rows.items():
        model, name = key.split(" ")
        board = load_target(name)
        if f"{model} {board.core.name}" not in counts or row.get("cycles") is None:
            continue
        time = pages.milliseconds(model, board, board.latency_model, counts)
        assert time == pytest.approx(row["cycles"] / board.clock_hz * 1e3, rel=0.02), key
        compared += 1
    assert compared >= 6


def test_every_board_is_listed_and_none_is_said_to_have_been_touched(pages):
    lines = pages.PAGE.read_text().splitlines()
    listed = [line for line in lines if line.endswith("| never |")]
    boards = [name for name in target_names() if isinstance(load_target(name), Board)]
    assert [line.split("|")[1].strip() for line in listed] == boards
    for line, name in zip(listed, boards, strict=True):
        model = load_target(name).latency_model
        assert ("uncalibrated" in line) == (model is not None and not model.calibrated)


def test_a_wrong_constant_changes_the_page(pages, monkeypatch):
    kept = json.loads(pages.COUNTS.read_text())
    before = pages.page(kept)
    kept["counts"]["kws cortex-m4"]["layers"][0][0] += 100_000
    assert pages.page(kept) != before
