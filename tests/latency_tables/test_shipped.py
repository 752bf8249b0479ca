# SPDX-License-Identifier: Apache-2.0
"""A new table begins with what came with the tool, where that holds here, and says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import measuring
import pytest

from tinytailor.latency_tables import Failure, Glue, LatencyTable, Measurement, Work
from tinytailor.latency_tables.measuring import shipped
from tinytailor.latency_tables.measuring.measure import Plan, measure, measure_batch
from tinytailor.latency_tables.table.origin import header_for
from tinytailor.targets import cross_toolchain

pytestmark = [pytest.mark.emulator]

NO_WORK = Work(0, 0, 0, 0)
KEYS = measuring.many()[:3]


@pytest.fixture(scope="module")
def rows() -> list[Measurement]:
    entries = measure_batch(KEYS, measuring.board(), cross_toolchain(), "emulator")
    return [entry for entry in entries if not isinstance(entry, Failure)]


@pytest.fixture
def place(monkeypatch, tmp_path) -> Path:
    """The place of the one shipped table."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "tables")
    return shipped.shipped_path(measuring.board().core.name, "dense:3")


def ship(place: Path, rows: list[Measurement], **other: object) -> LatencyTable:
    """A table that came with the tool, whose header says ``other`` things."""
    glue = Glue(NO_WORK, NO_WORK, 4, 3, 2, 1)
    header = header_for(measuring.board(), cross_toolchain(), "emulator", glue, "long ago")
    table = LatencyTable.create(place, replace(header, **other))
    table.append(rows)
    return table


def begin(path: Path, keys=KEYS) -> str:
    return shipped.begin(path, keys, measuring.board(), cross_toolchain(), "emulator")


def test_only_what_was_not_shipped_is_measured(place, rows, tmp_path):
    table, path, plans = ship(place, rows[:2]), tmp_path / "table.jsonl", []
    assert begin(path) == "2 rows come from the shipped table dense-3"
    begun = LatencyTable.load(path)
    assert begun.header.glue == table.header.glue
    assert begun.header.created > "2026"
    done = measure(KEYS, measuring.board(), cross_toolchain(), path, on_start=plans.append)
    assert plans == [Plan(known=KEYS[:2], new=KEYS[2:])]
    assert [done[key] for key in KEYS] == rows


def test_a_table_that_is_there_gets_only_rows_it_lacks(place, rows, tmp_path):
    path = tmp_path / "table.jsonl"
    assert begin(path) == "", "nothing is shipped for the core"
    ship(place, rows)
    assert begin(path, KEYS[:0]) == ""
    assert not path.exists()
    assert "1 rows" in begin(path, KEYS[:1])
    before = path.read_bytes()
    assert "2 rows" in begin(path)
    assert path.read_bytes().startswith(before)
    assert [LatencyTable.load(path)[key] for key in KEYS] == rows
    before = path.read_bytes()
    assert begin(path) == ""
    assert path.read_bytes() == before


def test_a_table_of_another_origin_is_left_to_measuring_which_says_so(place, rows, tmp_path):
    ship(place, rows)
    path = tmp_path / "table.jsonl"
    LatencyTable.create(path, replace(LatencyTable.load(place).header, tool_version="0"))
    before = path.read_bytes()
    assert begin(path) == ""
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("toolchain_version", "gcc 1.0", "toolchain_version was gcc 1.0, is arm-none"),
        ("toolchain_flags", ("-O3",), "toolchain_flags was ['-O3'], is ['-mcpu=cortex-m4'"),
        ("runner", "qemu", "runner was qemu, is emulator"),
    ],
)
def test_rows_of_another_origin_are_not_taken(place, rows, tmp_path, field, value, said):
    ship(place, rows, **{field: value})
    text = begin(tmp_path / "table.jsonl")
    assert text.startswith(f"the shipped table for cortex-m4 is not used: {said}")
    assert not (tmp_path / "table.jsonl").exists()


def test_rows_of_another_code_generator_are_taken_if_a_sample_of_them_agrees(
    place, rows, tmp_path, monkeypatch
):
    ship(place, rows, compiler="another")
    monkeypatch.setattr(shipped, "make_header", lambda *_: ship(tmp_path / "x", []).header)
    assert begin(tmp_path / "table.jsonl") == "3 rows come from the shipped table dense-3"
    taken = LatencyTable.load(tmp_path / "table.jsonl")
    assert [taken[key] for key in KEYS] == [replace(row, placement=None) for row in rows]


def test_one_row_of_the_sample_that_disagrees_speaks_against_all(place, rows, tmp_path):
    counts = replace(rows[1].work, instructions=rows[1].instructions + 1)
    ship(place, [rows[0], replace(rows[1], counts=counts), rows[2]], compiler="another")
    said = begin(tmp_path / "table.jsonl")
    assert "is not used: dense 1x16" in said
    assert "has counts" in said
    assert not (tmp_path / "table.jsonl").exists()
