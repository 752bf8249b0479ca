# SPDX-License-Identifier: Apache-2.0
"""The file of a latency table: what is written is read back, what was tampered with is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle

import pytest
import table_rows
from table_rows import HEADER

from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Dense
from tinytailor.latency_tables.table.latency_table import Failure, LatencyTable
from tinytailor.latency_tables.table.lines import CHECKED, check_of, row_line
from tinytailor.latency_tables.table.records import Measurement, Placement, Work
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import only_writer

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def key(features: int) -> OpKey:
    return make_key(Dense(features), ((1, 8),), "dsp")


def row(features: int) -> Measurement:
    return table_rows.row(key(features), 150.0)


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


def test_where_memory_lies_is_read_back_and_left_out_where_it_is_not_known(table):
    placed = dataclasses.replace(row(4), placement=Placement(3, {"0": 120, "1": 0}))
    table.append([placed])
    loaded = LatencyTable.load(table.path)
    assert (loaded[key(4)], loaded[key(1)].placement) == (placed, None)
    assert table.path.read_text().count("placement") == 1


def test_a_missing_row_names_the_command_that_measures_it(table):
    with pytest.raises(
        InputError, match=r"dense 1x8 .*measure --target BOARD .*any with a cortex-m4$"
    ):
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
        (1, lambda line: line.replace("cortex-m4", "cortex-m3"), "line 1: the line was edited"),
        (1, lambda line: line.replace('version":4', 'version":3'), "version 3, this tool reads 4"),
        (1, lambda line: line.replace("latency-table", "laundry-list"), "is not a latency table"),
        (3, lambda line: line[:30] + "\n", "line 3: not JSON"),
        (3, lambda line: "[1, 2]\n", "line 3: expected an object"),
    ],
)  # fmt: skip
def test_an_edited_line_is_refused_by_its_number(table, number, change, message):
    edit(table.path, number, change)
    with pytest.raises(InputError, match=message):
        LatencyTable.load(table.path)


def test_a_line_that_is_neither_row_nor_error_is_refused(table):
    line = row_line(key(5), "row", {}, check_of(HEADER))
    for wrong in (line.replace(b'"row"', b'"raw"'), line.replace(b'"key"', b'"kay"')):
        rest = wrong[CHECKED:].rstrip()
        check = hashlib.sha256(check_of(HEADER).encode() + rest).hexdigest()[:16]
        signed = f'{{"check":"{check}",\t'.encode() + rest + b"\n"
        whole = table.path.read_bytes()
        table.path.write_bytes(whole + signed)
        with pytest.raises(InputError, match='line 5: expected "key" and "row" or "error"'):
            LatencyTable.load(table.path)
        table.path.write_bytes(whole)


def test_two_tables_in_one_file_are_refused(table):
    table.path.write_bytes(table.path.read_bytes() * 2)
    with pytest.raises(InputError, match="line 5: a second header"):
        LatencyTable.load(table.path)


def test_garbage_between_rows_is_refused_by_its_line(table):
    whole = table.path.read_bytes().splitlines(keepends=True)
    for garbage in (b"\x00\xff\xfe\n", b"\n", b"<<<<<<< ours\n"):
        table.path.write_bytes(b"".join([*whole[:2], garbage, *whole[2:]]))
        with pytest.raises(InputError, match="line 3: not JSON"):
            LatencyTable.load(table.path)


def test_lines_that_end_as_on_windows_are_the_same_table(table):
    table.path.write_bytes(table.path.read_bytes().replace(b"\n", b"\r\n"))
    loaded = LatencyTable.load(table.path)
    assert loaded == table
    loaded.append([row(9)])
    assert LatencyTable.load(table.path)[key(9)] == row(9)


def test_rows_are_parsed_when_they_are_asked_for(tmp_path):
    path = tmp_path / "t.jsonl"
    LatencyTable.create(path, HEADER).append([row(n) for n in range(1, 10_001)])
    loaded = LatencyTable.load(path)
    assert (len(loaded), loaded.rows.parsed) == (10_000, 0)
    assert key(77) in loaded
    assert key(10_001) not in loaded
    assert loaded.rows.parsed == 0
    assert loaded[key(77)] == row(77)
    assert loaded.rows.parsed == 1


def test_a_row_whose_fields_are_wrong_is_refused_when_it_is_asked_for(table):
    line = row_line(key(5), "row", {"cycles": 7}, check_of(HEADER))
    table.path.write_bytes(table.path.read_bytes() + line)
    loaded = LatencyTable.load(table.path)
    with pytest.raises(InputError, match=r"t.jsonl, row of .*fields missing"):
        loaded[key(5)]
    line = row_line(key(6), "row", {"seconds": 7}, check_of(HEADER))
    table.path.write_bytes(table.path.read_bytes() + line)
    with pytest.raises(InputError, match=r"t.jsonl, row of .*no cycles in it"):
        LatencyTable.load(table.path).rows.counted_cycles()


def test_a_sorted_table_does_not_depend_on_the_order_of_measuring(table, tmp_path):
    other = LatencyTable.create(tmp_path / "other.jsonl", HEADER)
    other.append([Failure(key(3), "needs 1 MiB of RAM, the board has 128 KiB")])
    other.append([row(2), row(1)])
    assert other.path.read_bytes() != table.path.read_bytes()
    for one in (table, other):
        one.sort()
        assert LatencyTable.load(one.path) == one
    assert other.path.read_bytes() == table.path.read_bytes()
    assert list(LatencyTable.load(other.path)) == list(other) == [key(1), key(2)]


def test_every_line_is_json_with_sorted_names_so_that_files_can_be_compared(table):
    for line in table.path.read_text().splitlines():
        for value in json.loads(line).values():
            assert json.dumps(value, sort_keys=True) == json.dumps(value)


def test_an_older_format_says_what_to_do(tmp_path):
    path = tmp_path / "old.jsonl"
    old = {"check": "0" * 16, "format": "tinytailor-latency-table", "header": {}, "version": 3}
    path.write_text(json.dumps(old) + "\n")
    with pytest.raises(InputError, match=r"format version 3, this tool reads 4; measure it again"):
        LatencyTable.load(path)


def test_measured_cycles_stand_for_themselves_and_counts_take_what_they_take_on_a_board():
    counted = row(1)
    for name in ("nucleo-f446re", "nicla-sense-me"):
        model = load_target(name).latency
        assert counted.cycles_under(model) == model.cycles(150, 20, 64, 96)
    assert counted.counted_cycles == 150
    measured = dataclasses.replace(counted, cycles=777.0, counts=None)
    assert measured.cycles_under(model) == measured.counted_cycles == 777
    assert Measurement.from_json(measured.to_json()) == measured
    with pytest.raises(InputError, match="measured on a board and not counted"):
        measured.instructions  # noqa: B018
    with pytest.raises(InputError, match="must have counts or measured cycles, and has neither"):
        dataclasses.replace(measured, cycles=None)


def test_code_that_is_fetched_again_is_kept_up_to_the_last_size_that_has_some():
    loop, straight = Work(9, 9, 0, 0, (64, 64, 32)), Work(5, 5, 0, 0)
    assert "fetched" not in straight.to_json()
    assert loop.to_json()["fetched"] == [64, 64, 32]
    for work in (loop, straight):
        assert Work.from_json(work.to_json()) == work
    assert (loop + straight).fetched == loop.fetched
    assert loop - Work(9, 9, 0, 0, (0, 70, 32)) == Work(0, 0, 0, 0, (64,))
    assert loop.times(2).over(2) == loop
    assert Work.mean([loop, straight]).fetched == (32, 32, 16)
    one = dataclasses.replace(row(1), counts=dataclasses.replace(row(1).work, fetched=(7, 7, 100)))
    model = load_target("nucleo-f446re").latency
    more = one.cycles_under(model) - row(1).cycles_under(model)
    assert more == pytest.approx(100 * model.fetch_byte)


def test_a_row_of_another_table_is_refused(table, tmp_path):
    other = dataclasses.replace(HEADER, toolchain_version="13.1")
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
        ("counts", 7),
        ("counts", {"instructions": 1}),
        ("counts", {**Work(1, 1, 1, 1).to_json(), "fetched": [1.5]}),
        ("counts", {**Work(1, 1, 1, 1).to_json(), "fetched": 3}),
    ],
)
def test_a_record_refuses_numbers_that_are_no_counts(name, value):
    with pytest.raises(InputError, match=rf"{name}|fetched|fields missing: \['core_cycles'"):
        Measurement.from_json({**row(1).to_json(), name: value})


def test_a_record_names_missing_and_unknown_fields():
    values = {**row(1).to_json(), "joules": 1}
    del values["cycles"]
    with pytest.raises(InputError, match=r"missing: \['cycles'\], unknown: \['joules'\]"):
        Measurement.from_json(values)


def test_a_table_goes_to_another_process_as_it_is(table):
    loaded = LatencyTable.load(table.path)
    assert pickle.loads(pickle.dumps(loaded)) == loaded == table


def test_only_one_process_writes_a_table_at_a_time(table):
    refused = pytest.raises(
        InputError, match=r"^process \d+ on \S+ is writing .*; wait for it to finish$"
    )
    with only_writer(table.path), refused, only_writer(table.path):
        pass
    with only_writer(table.path):
        pass
    assert [path.name for path in table.path.parent.iterdir()] == [table.path.name]
