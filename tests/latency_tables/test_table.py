# SPDX-License-Identifier: Apache-2.0
"""The file of a latency table: what is written is read back, what was tampered with is refused."""

from __future__ import annotations

import dataclasses

import pytest

from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Dense
from tinytailor.latency_tables.records import Glue, Header, Measurement, Work
from tinytailor.latency_tables.table import Failure, LatencyTable, writing
from tinytailor.targets.errors import InputError

GLUE = Glue(Work(90, 120, 4, 16), Work(10, 14, 1, 4), 900, 40, 4, 64)
HEADER = Header(
    target="nucleo-f446re",
    core="cortex-m4",
    isa="dsp",
    clock_hz=180_000_000,
    toolchain="arm-none-eabi-gcc",
    toolchain_version="12.2",
    toolchain_flags=("-O2",),
    tool_version="0.1.0",
    runner="emulator",
    compiler="00112233",
    latency_model={"core": 1.31, "cache_bytes": None},
    created="2026-01-01T00:00:00+00:00",
    glue=GLUE,
)


def key(features: int) -> OpKey:
    return make_key(Dense(features), ((1, 8),), "dsp")


def row(features: int) -> Measurement:
    return Measurement(
        key=key(features),
        cycles=196.5,
        measured=False,
        counts=Work(100, 150, 20, 64),
        scratch_bytes=0,
        constant_bytes=96,
        code_bytes=200,
        entry_bytes=12,
        library={"memset": 162},
        stack_bytes=48,
        repeats=2,
        spread_cycles=0,
        date="2026-01-02",
    )


@pytest.fixture
def table(tmp_path):
    table = LatencyTable.create(tmp_path / "t.jsonl", HEADER)
    table.append([row(1), row(2)])
    table.append([Failure(key(3), "needs 1 MiB of RAM, the board has 128 KiB")])
    return table


def test_a_loaded_table_is_the_table_that_was_written(table):
    loaded = LatencyTable.load(table.path)
    assert loaded == table
    assert loaded.header == HEADER
    assert list(loaded) == [key(1), key(2)]
    assert loaded[key(2)] == row(2)


def test_a_missing_row_names_the_command_that_measures_it(table):
    with pytest.raises(InputError, match=r"dense 1x8 .*tinytailor measure --target nucleo-f446re"):
        table[key(9)]


def test_a_failed_row_says_why_it_has_no_number(table):
    with pytest.raises(InputError, match="needs 1 MiB of RAM"):
        LatencyTable.load(table.path)[key(3)]


def test_a_later_measurement_replaces_a_failure(table):
    table.append([row(3)])
    loaded = LatencyTable.load(table.path)
    assert loaded[key(3)] == row(3)
    assert loaded.failures == {}


def test_a_torn_last_line_is_dropped_and_overwritten(table):
    whole = table.path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        table.path.write_bytes(whole[:-cut])
        torn = LatencyTable.load(table.path)
        assert len(torn) == 2
        assert torn.failures == {}
    torn.append([row(3)])
    assert LatencyTable.load(table.path)[key(3)] == row(3)


def edit(path, number, change):
    lines = path.read_text().splitlines(keepends=True)
    lines[number - 1] = change(lines[number - 1])
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (2, lambda line: line.replace('cycles":150', 'cycles":15'), "line 2: the line was edit"),
        (1, lambda line: line.replace("180000000", "18000000"), "line 1: the line was edited"),
        (1, lambda line: line.replace('version":3', 'version":2'), "version 2, this tool reads 3"),
        (1, lambda line: line.replace("latency-table", "laundry-list"), "is not a latency table"),
        (3, lambda line: line[:30] + "\n", "line 3: not JSON"),
        (3, lambda line: "[1, 2]\n", "line 3: expected an object"),
    ],
)  # fmt: skip
def test_an_edited_line_is_refused_by_its_number(table, number, change, message):
    edit(table.path, number, change)
    with pytest.raises(InputError, match=message):
        LatencyTable.load(table.path)


def test_a_row_of_another_table_is_refused(table, tmp_path):
    other = dataclasses.replace(HEADER, clock_hz=16_000_000)
    strange = LatencyTable.create(tmp_path / "other.jsonl", other)
    strange.append([row(4)])
    with table.path.open("a") as file:
        file.write(strange.path.read_text().splitlines(keepends=True)[1])
    with pytest.raises(InputError, match="comes from another table"):
        LatencyTable.load(table.path)


def test_a_duplicate_row_is_refused(table):
    with pytest.raises(InputError, match="already has a row for dense"):
        table.append([row(1)])
    lines = table.path.read_text().splitlines(keepends=True)
    table.path.write_text("".join([*lines, lines[1]]))
    with pytest.raises(InputError, match=r"line 5: dense .* has a row already"):
        LatencyTable.load(table.path)


@pytest.mark.parametrize("content", [b"", b"no newline", b"\x00\xff\n", b"x,y\n1,2\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a latency table"):
        LatencyTable.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(InputError, match="cannot read latency table"):
            LatencyTable.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repeats", -1),
        ("repeats", 1.5),
        ("repeats", True),
        ("cycles", float("inf")),
        ("measured", 1),
        ("counts", 7),
        ("counts", {"instructions": 1}),
    ],
)
def test_a_record_refuses_numbers_that_are_no_counts(name, value):
    with pytest.raises(InputError, match=rf"{name}|fields missing: \['core_cycles'"):
        Measurement.from_json({**row(1).to_json(), name: value})


def test_a_record_names_missing_and_unknown_fields():
    values = {**row(1).to_json(), "joules": 1}
    del values["cycles"]
    with pytest.raises(InputError, match=r"missing: \['cycles'\], unknown: \['joules'\]"):
        Measurement.from_json(values)


def test_only_one_process_writes_a_table_at_a_time(table):
    refused = pytest.raises(InputError, match="another process is writing")
    with writing(table.path), refused, writing(table.path):
        pass
    with writing(table.path):
        pass
    assert [path.name for path in table.path.parent.iterdir()] == [table.path.name]
