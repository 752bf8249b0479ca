# SPDX-License-Identifier: Apache-2.0
"""tinytailor table: show, check and diff, and what they say of files that are no tables."""

from __future__ import annotations

import dataclasses

import pytest
from tiny_model import only_json

from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Conv2d, Dense
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Failure, Glue, LatencyTable, Measurement, Work
from tinytailor.latency_tables.table.origin import header_for
from tinytailor.targets import cross_toolchain, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

GLUE = Glue(Work(90, 120, 4, 16), Work(10, 14, 1, 4), 900, 40, 4, 64)


def pointwise(channels: int) -> OpKey:
    return make_key(Conv2d(16, Window((1, 1))), ((1, 6, 6, channels),), "dsp")


KEYS = [pointwise(channels) for channels in (8, 12, 16, 20, 24, 32)]
DENSE = make_key(Dense(5), ((1, 24),), "dsp")


def row(key: OpKey) -> Measurement:
    cycles = 900 + 2 * key.operator().macs(*key.input_shapes)
    return Measurement(
        key=key,
        cycles=None,
        counts=Work(cycles, cycles, 20, 64),
        scratch_bytes=8,
        constant_bytes=96,
        code_bytes=200,
        entry_bytes=12,
        library={},
        stack_bytes=48,
        repeats=2,
        spread_cycles=3 if key == DENSE else 0,
        date="2026-01-02",
    )


@pytest.fixture
def table(tmp_path) -> LatencyTable:
    board = load_target("nucleo-f446re")
    header = header_for(board, cross_toolchain(), "emulator", GLUE, "2026-01-01T00:00:00+00:00")
    table = LatencyTable.create(tmp_path / "t.jsonl", header)
    table.append([row(key) for key in (*KEYS, DENSE)])
    return table


def copy(table: LatencyTable, name: str, rows, **header) -> LatencyTable:
    made = LatencyTable.create(
        table.path.with_name(name), dataclasses.replace(table.header, **header)
    )
    made.append(list(rows))
    return made


def test_show_sums_rows_up_by_operator_and_lists_those_of_one(cli, table):
    text = cli("table", "show", table.path).stdout
    assert "cortex-m4, dsp: counted by the emulator, for every board with this core" in text
    assert "rows of 2026-01-02" in text
    assert text.splitlines()[5].split()[:3] == ["conv2d", "6", "10116"]
    listed = cli("table", "show", table.path, "--kind", "conv2d", "--sort", "cycles", "--limit", 2)
    assert "conv2d 1x6x6x32" in listed.stdout
    assert "… and 4 more (--limit 0 for all)" in listed.stdout
    assert "dense" not in listed.stdout


def test_show_says_what_counts_take_on_a_board_of_the_core(cli, table):
    model = load_target("nicla-sense-me").latency
    cycles = row(DENSE).cycles_under(model)
    words = ("table", "show", table.path, "--target")
    shown = cli(*words, "nicla-sense-me").stdout
    (line,) = [line for line in shown.splitlines() if "dense" in line]
    assert f" {cycles:.0f} " in line
    assert line.endswith("modelled for nicla-sense-me")
    values = only_json(cli(*words, "nicla-sense-me", "--json").stdout)
    (found,) = [one for one in values["rows"] if one["key"] == DENSE.to_json()]
    assert found["cycles_on_target"] == cycles
    other = cli(*words, "nucleo-g0b1re")
    assert other.exit_code == 2
    assert "holds operators of cortex-m4, and nucleo-g0b1re has a cortex-m0plus" in other.stderr


def test_show_gives_every_value_as_json(cli, table):
    values = only_json(cli("table", "show", table.path, "--json").stdout)
    assert values["header"] == table.header.to_json()
    assert values["rows"] == [row(key).to_json() for key in sorted((*KEYS, DENSE))]
    assert values["failures"] == []


def test_a_sound_table_passes_and_is_of_this_tool(cli, table):
    result = cli("table", "check", table.path)
    assert result.exit_code == 0, result.stdout
    assert "0 findings in 7 rows: 6 compared with near sizes, 5 steps" in result.stdout


def test_check_finds_what_is_wrong_and_ends_with_1(cli, table):
    cheap = dataclasses.replace(row(KEYS[2]), counts=Work(500, 500, 20, 64))
    rows = [*map(row, KEYS[:2]), cheap, *map(row, KEYS[3:]), row(DENSE)]
    wrong = copy(table, "wrong.jsonl", rows, compiler="0123456789abcdef", tool_version="0.0.1")
    wrong.append([Failure(make_key(Dense(7), ((1, 24),), "dsp"), "no room")])
    result = cli("table", "check", wrong.path, "--json")
    assert result.exit_code == 1
    values = only_json(result.stdout)
    assert [one["what"] for one in values["findings"]] == ["foreign", "failure", "outlier"]
    assert values["findings"][0]["differing"].keys() == {"compiler", "tool_version"}
    assert values["findings"][2]["key"] == KEYS[2].to_json()
    text = cli("table", "check", wrong.path).stdout
    assert "tool_version was 0.0.1, is " in text
    assert "outlier: conv2d 1x6x6x16" in text
    assert "x cheaper for its work than its neighbours" in text


def test_check_counts_what_a_space_needs(cli, table):
    result = cli("table", "check", table.path, "--space", "micronas:16x2x2", "--json")
    values = only_json(result.stdout)
    assert result.exit_code == 1
    missing = [one for one in values["findings"] if one["what"] == "missing"]
    assert 0 < len(missing) <= values["wanted"]
    assert all("has no row" in one["message"] for one in missing)


def test_a_table_that_a_users_board_measured_is_checked_with_its_file(cli, table, tmp_path):
    text = load_target("nucleo-f446re").definition
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace('"nucleo-f446re"', '"mine"', 1))
    rows = [dataclasses.replace(one, cycles=700.0) for one in table.rows.values()]
    where = {"runner": "serial", "target": "mine", "clock_hz": 180_000_000}
    own = copy(table, "own.jsonl", rows, **where)
    words = ("table", "check", own.path, "--space", "micronas:16x2x2")
    result = cli(*words)
    assert result.exit_code == 2
    assert "mine, which does not ship" in " ".join(result.stderr.split())
    checked = cli(*words, "--target", mine)
    assert "operators of micronas:16x2x2 looked up" in " ".join(checked.stdout.split())
    assert "foreign" not in checked.stdout
    shown = cli("table", "show", own.path).stdout
    assert "mine: cortex-m4, dsp, 180 MHz, measured at a serial port" in shown
    other = cli("table", "check", own.path, "--target", "nicla-sense-me")
    assert "target was mine, is nicla-sense-me; clock_hz was 180000000, is" in other.stdout


def test_diff_says_what_changed_and_by_how_much(cli, table):
    twice = Work(10116, 20232, 20, 64)
    slower = dataclasses.replace(row(KEYS[0]), counts=twice, date="2026-05-05")
    rows = [slower, *map(row, KEYS[1:])]
    other = copy(table, "other.jsonl", rows, tool_version="0.0.1")
    result = cli("table", "diff", table.path, other.path)
    assert result.exit_code == 1
    assert "header: tool_version: 0.1.0 -> 0.0.1" in result.stdout
    assert f"only in {table.path}: dense 1x24" in result.stdout
    assert "changed (2.000x): conv2d 1x6x6x8" in result.stdout
    assert "5 rows are the same, 1 changed, cycles 2.000x to 2.000x, 1 and 0" in result.stdout
    values = only_json(cli("table", "diff", table.path, other.path, "--json").stdout)
    assert values["changed"][0]["values"] == {"counts.core_cycles": [10116, 20232]}
    again = copy(table, "again.jsonl", reversed([*map(row, KEYS), row(DENSE)]))
    assert cli("table", "diff", table.path, again.path).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("show", "{}", "--kind", "conv3d"),
            "has no row of kind 'conv3d'; did you mean conv2d? it has: conv2d, dense",
        ),
        (("show", "{}", "--sort", "beauty"), "'beauty' (--sort); known: key, cycles"),
        (("show", "none.jsonl"), "cannot read latency table none.jsonl"),
        (("check", "{}", "--space", "micronas"), "does not say which operators are needed"),
        (("check", "{}", "--data", "uci-har"), "--data says nothing without --space"),
        (("diff", "{}", "none.jsonl"), "cannot read latency table none.jsonl"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(cli, table, words, message):
    result = cli("table", *(word.format(table.path) for word in words))
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_damaged_table_is_refused_by_every_command(cli, table):
    table.path.write_bytes(table.path.read_bytes().replace(b"10116", b"10117"))
    for words in (("show",), ("check",), ("diff", table.path)):
        result = cli("table", *words, table.path, "--json")
        assert result.exit_code == 2
        assert "line 2: the line was edited" in only_json(result.stdout)["error"]
