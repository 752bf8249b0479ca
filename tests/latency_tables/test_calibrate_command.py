# SPDX-License-Identifier: Apache-2.0
"""tinytailor calibrate on files: every form of input, every mistake in one, the board it writes."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import counted_tables as made
import numpy as np
import pytest
from typer.testing import CliRunner

import tinytailor.targets
from tinytailor.cli import calibrate
from tinytailor.cli.main import app
from tinytailor.compiler import Graph, Node, Tensor, key_of
from tinytailor.compiler.ir import check
from tinytailor.compiler.opkey import OpKey, example_constants, make_key
from tinytailor.compiler.ops import Add, Conv2d, Dense
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.project import GENERATOR, GRAPH, TARGET, write_manifest
from tinytailor.compiler.serialize import save_graph
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.calibration.board_file import write_board
from tinytailor.latency_tables.calibration.measured import read_keys, read_measured, write_plan
from tinytailor.latency_tables.calibration.plan import fits
from tinytailor.nas.spaces import parse_space
from tinytailor.targets import LatencyModel, load_target
from tinytailor.targets.board import load_board
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]

TRUTH = made.model(core=1.083, flash_load=3.15, per_operator=1630.0)
KEYS = made.convolutions()[::4]
Lines = list[dict[str, Any]]


def cycles(key, noise: float = 0.0) -> float:
    row = made.row(key)
    return row.work.operator_cycles(TRUTH, row.constant_bytes) * float(np.exp(noise))


def lines() -> Lines:
    return [{"key": key.to_json(), "cycles": cycles(key)} for key in KEYS]


@pytest.fixture
def command(tmp_path) -> Callable[..., Any]:
    """Run on lines in a file of this name; the counts come from a table beside it."""
    rows = [made.row(key) for key in (*made.convolutions(), *made.additions())]
    table = made.write_table(tmp_path / "table.jsonl", rows)

    def run(content: Lines | str, *words: object, name: str = "measured.jsonl") -> Any:
        file = tmp_path / name
        if not isinstance(content, str):
            content = "".join(json.dumps(line) + "\n" for line in content)
        file.write_text(content)
        out = tmp_path / "mine.toml"
        fixed = ("calibrate", "--target", made.BOARD, "--measured", file, "--table", table.path)
        every = (*fixed, "--out", out, *words)
        return CliRunner().invoke(app, [str(word) for word in every])

    return run


def test_the_written_board_has_the_fitted_constants_and_all_else_as_before(command, tmp_path):
    result = command(lines(), "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["constants"]["flash_load"] == pytest.approx(3.15)
    assert report["before"]["flash_byte"] == made.board().latency.flash_byte
    assert report["points"] == len(KEYS)
    written = load_board(tmp_path / "mine.toml")
    model = written.latency
    assert (model.core, model.flash_load) == pytest.approx((1.083, 3.15))
    assert model.calibrated
    assert "9 latencies measured on this board (measured.jsonl" in model.source
    assert dataclasses.replace(written, latency_model=None) == dataclasses.replace(
        made.board(), latency_model=None
    )
    key = made.convolutions()[1]
    row = made.row(key)
    assert row.cycles_under(model) == pytest.approx(cycles(key), rel=1e-4)


def test_milliseconds_csv_and_json_lines_give_the_same_board(command, tmp_path):
    clock = made.board().clock_hz
    command(lines())
    first = load_board(tmp_path / "mine.toml").latency
    forms: dict[str, str] = {}
    as_ms = [{"key": line["key"], "latency_ms": line["cycles"] / clock * 1e3} for line in lines()]
    forms["ms.jsonl"] = "".join(json.dumps(line) + "\n" for line in as_ms)
    cells = [json.dumps(line["key"]).replace('"', '""') for line in lines()]
    rows = [f'"{key}",{line["cycles"]!r}' for key, line in zip(cells, lines(), strict=True)]
    forms["list.csv"] = "\n".join(["key,cycles", *rows]) + "\n"
    for name, text in forms.items():
        result = command(text, name=name)
        assert result.exit_code == 0, result.stderr
        other = load_board(tmp_path / "mine.toml").latency
        assert dataclasses.replace(other, source="") == dataclasses.replace(first, source="")


def test_a_table_that_was_measured_on_the_board_is_taken_as_it_is(command, tmp_path):
    rows = [dataclasses.replace(made.row(key), cycles=cycles(key)) for key in KEYS]
    where = {"runner": "serial", "target": made.BOARD, "clock_hz": made.board().clock_hz}
    made.write_table(tmp_path / "serial.jsonl", rows, **where)
    text = (tmp_path / "serial.jsonl").read_text()
    result = command(text, "--json", name="serial.jsonl")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["constants"]["per_operator"] == pytest.approx(1630, rel=1e-3)


def changed(index: int, **values: Any) -> Lines:
    found = lines()
    found[index] = {k: v for k, v in {**found[index], **values}.items() if v != "gone"}
    return found


FOREIGN = {**KEYS[0].to_json(), "isa": "base"}
UNKNOWN = {**KEYS[0].to_json(), "kind": "telepathy"}
BAD = {
    "no time": (changed(1, cycles="gone"), r'line 2: expected "cycles" or "latency_ms", got'),
    "two times": (changed(1, latency_ms=1.0), "got cycles and latency_ms"),
    "no key": (changed(0, key="gone"), r'line 1: expected "key" or "project", got neither'),
    "zero": (changed(2, cycles=0), "line 3: cycles is 0, expected a number above 0"),
    "negative": (changed(2, cycles=-4.0), "cycles is -4.0, expected a number above 0"),
    "not a number": (changed(2, cycles=float("nan")), "cycles is nan, expected a number above 0"),
    "words": (changed(2, cycles="fast"), "cycles is 'fast', expected a number above 0"),
    "not filled in": (changed(3, cycles=None), "line 4: cycles is not filled in"),
    "misspelt": (changed(0, cycels=3), r'unknown field "cycels"; did you mean cycles\?'),
    "unknown kind": (changed(0, key=UNKNOWN), "line 1: no operator is called 'telepathy'"),
    "other core": (changed(0, key=FOREIGN), f"is not for {made.BOARD}, which has dsp"),
    "other board": (changed(0, target="pico"), f"was measured on pico, not on {made.BOARD}"),
    "twice": (lines() + lines()[:1], r"line 10: conv2d .* was measured in .*line 1 already"),
    "not JSON": ("cycles 3\n", r"line 1: not JSON"),
    "a list": ("[1, 2]\n", "expected an object like"),
    "empty": ("\n", "holds no measurement"),
    "two lines": (lines()[:2], "2 measured latencies are too few"),
    "key as text": (changed(0, key="conv2d"), "key is 'conv2d', expected an operator key"),
    "no project": (changed(0, key="gone", project="nowhere"), "no compiled project there"),
    "milliseconds": (
        [{"key": line["key"], "latency_ms": line["cycles"]} for line in lines()],
        r"the latency_ms measured are .* as cycles they would fit",
    ),
    "microseconds": (
        [{"key": line["key"], "cycles": line["cycles"] / 80} for line in lines()],
        "as microseconds they would fit",
    ),
    "outlier": (changed(4, cycles=cycles(KEYS[4]) * 0.023), "1 of 9 measurements do not fit"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_told_in_a_sentence_and_no_board_is_written(command, tmp_path, name):
    content, message = BAD[name]
    result = command(content)
    assert result.exit_code == 2, result.stdout + result.stderr
    assert re.search(message, result.stderr.replace("\n", " ")), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "mine.toml").exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_compiled_network_is_a_measurement_like_an_operator(command, tmp_path):
    """Two convolutions and the code between them, by the manifest and graph of a project."""
    graph = two_convolutions()
    folder = tmp_path / "build" / "net"
    folder.mkdir(parents=True)
    save_graph(graph, folder / GRAPH)
    write_manifest(folder, {"generator": GENERATOR})
    (folder / TARGET).write_text(made.board().definition)
    keys = [key_of(node, graph, "dsp") for node in graph.nodes]
    glue = made.header(made.board()).glue
    between = glue.base + glue.per_node.times(2)
    whole = sum(map(cycles, keys)) + TRUTH.core * between.core_cycles
    network = {"project": "build/net", "latency_ms": whole / made.board().clock_hz * 1e3}
    table = made.write_table(tmp_path / "more.jsonl", [*map(made.row, {*keys, *KEYS})])
    result = command([*lines(), network], "--table", table.path, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["points"] == len(KEYS) + 1
    assert report["residuals"][-1]["name"].endswith("build/net")
    assert abs(report["residuals"][-1]["error"]) < 1e-4
    (folder / TARGET).write_text(load_target("nucleo-f446re").definition)
    other = command([*lines(), network])
    assert other.exit_code == 2
    assert "was compiled for nucleo-f446re, not for" in other.stderr


def two_convolutions() -> Graph:
    tensors = [Tensor("x0", (1, 8, 3, 10)), Tensor("x1", (1, 8, 3, 6)), Tensor("x2", (1, 8, 3, 4))]
    nodes = []
    for i, out in enumerate((6, 4)):
        op = Conv2d(out, Window((3, 1), padding=(1, 0, 1, 0)))
        constants = example_constants(op, (tensors[i].shape,), seed=i)
        nodes.append(Node(f"n{i}", op, (f"x{i}",), f"x{i + 1}", constants))
    return check(Graph("net", ("x0",), ("x2",), {t.name: t for t in tensors}, tuple(nodes)))


def test_csv_without_the_columns_says_which(command):
    result = command("operator,time\na,3\n", name="list.csv")
    assert result.exit_code == 2
    assert "the first line must name the columns: key or project, and cycles" in result.stderr


def test_an_outlier_is_left_out_only_when_told_and_then_named(command):
    bad = changed(4, cycles=cycles(KEYS[4]) * 0.023)
    dropped = json.loads(command(bad, "--outliers", "drop", "--json").stdout)
    assert dropped["points"] == len(KEYS) - 1
    assert [entry["measured_over_expected"] for entry in dropped["dropped"]] == [
        pytest.approx(0.023, rel=0.1)
    ]
    assert dropped["constants"]["flash_load"] == pytest.approx(3.15)
    odd = changed(4, cycles=cycles(KEYS[4]) * 1.7)
    assert command(odd).exit_code == 2
    kept = json.loads(command(odd, "--outliers", "keep", "--json").stdout)
    assert kept["points"] == len(KEYS)
    assert kept["cross_validated"]["worst"] > 0.3


def test_an_emulated_table_is_not_a_measurement(command, tmp_path):
    text = (tmp_path / "table.jsonl").read_text()
    result = command(text, name="emulated.jsonl")
    assert result.exit_code == 2
    assert "it holds counts and no measured cycles" in result.stderr


def test_counts_of_another_core_are_refused(command, tmp_path):
    other = load_target("nucleo-f446re")
    made.write_table(tmp_path / "m4.jsonl", [made.row(key) for key in KEYS], other)
    result = command(lines(), "--table", tmp_path / "m4.jsonl")
    assert result.exit_code == 2
    assert f"holds operators of cortex-m4, and {made.BOARD} has a cortex-m33" in result.stderr


def test_files_that_ship_with_the_tool_are_never_written():
    shipped = Path(tinytailor.targets.__file__).parent / "boards" / f"{made.BOARD}.toml"
    before = shipped.read_bytes()
    with pytest.raises(InputError, match="ships with the tool"):
        write_board(made.board(), TRUTH, shipped)
    assert shipped.read_bytes() == before


@pytest.mark.parametrize("name", ["nucleo-f446re", "nucleo-l552ze-q", "nucleo-l4r5zi", "rpi-pico"])
def test_every_written_board_loads_with_its_new_constants(name, tmp_path):
    board = load_target(name)
    model = LatencyModel(1.2, 0.1, 0.25, 0.3, (400, 9000), 12.5, 'a "test" µ', True, 2.5)
    write_board(board, model, tmp_path / "new.toml")
    again = load_board(tmp_path / "new.toml")
    assert again == dataclasses.replace(board, latency_model=model)
    write_board(again, board.latency, tmp_path / "new.toml")
    assert load_board(tmp_path / "new.toml") == board


def test_what_fetching_code_costs_is_kept_as_the_file_has_it_and_the_written_board_says_so(
    tmp_path,
):
    board = load_target("nucleo-f446re")
    assert board.latency.fetch_byte > 0
    truth = dataclasses.replace(board.latency, core=1.2, per_operator=900.0)
    fetching = {}
    for i, key in enumerate(KEYS):
        row = made.row(key)
        fetched = (row.instructions, row.instructions, 20_000 * (i % 3))  # of no other count
        fetching[key] = dataclasses.replace(
            row, counts=dataclasses.replace(row.counts, fetched=fetched)
        )
    table = made.write_table(tmp_path / "table.jsonl", list(fetching.values()), board)
    measured, out = tmp_path / "measured.jsonl", tmp_path / "mine.toml"
    times = [{"key": k.to_json(), "cycles": r.cycles_under(truth)} for k, r in fetching.items()]
    measured.write_text("".join(json.dumps(line) + "\n" for line in times))
    words = ("--target", board.name, "--measured", measured, "--table", table.path, "--out", out)
    result = CliRunner().invoke(app, ["calibrate", *map(str, words)])
    assert result.exit_code == 0, result.stderr
    assert "kept from the board's file, not fitted" in " ".join(result.stdout.split())
    model = load_board(out).latency
    assert (model.core, model.per_operator) == pytest.approx((1.2, 900), rel=1e-3)
    assert model.error_percent == pytest.approx(0, abs=0.01)
    kept = ("fetch_byte", "fetch_cache_bytes", "fetch_source")
    assert all(getattr(model, name) == getattr(board.latency, name) for name in kept)
    assert model.trust.endswith("; code fetch kept, not fitted")


def test_a_plan_lists_operators_to_measure_and_is_refused_until_filled_in(command, tmp_path):
    for name in ("plan.jsonl", "plan.csv"):
        write_plan(KEYS, tmp_path / name)
        with pytest.raises(InputError, match=r"not filled in|expected \"cycles\""):
            read_measured(tmp_path / name, made.board())
        assert read_keys(tmp_path / name, made.board()) == tuple(sorted(KEYS))
    plan = [json.loads(line) for line in (tmp_path / "plan.jsonl").read_text().splitlines()]
    done = [{**line, "cycles": cycles(key)} for line, key in zip(plan, KEYS, strict=True)]
    assert command(done).exit_code == 0
    text = (tmp_path / "plan.csv").read_text().splitlines()
    filled = [text[0], *(f"{a}{cycles(key)}" for a, key in zip(text[1:], KEYS, strict=True))]
    result = command("\n".join(filled), name="plan.csv")
    assert result.exit_code == 0, result.stderr


def test_the_plan_command_proposes_operators_of_the_space_and_writes_them(tmp_path):
    space = "micronas:32x1x2"
    keys = parse_space(space).keys("dsp")
    table = made.write_table(tmp_path / "table.jsonl", [made.row(key) for key in keys])
    out = tmp_path / "plan.jsonl"
    words = ("--plan", 10, "--space", space, "--table", table.path, "--out", out, "--json")
    result = CliRunner().invoke(app, ["calibrate", "--target", made.BOARD, *map(str, words)])
    assert result.exit_code == 0, result.stderr
    planned = [OpKey.from_json(json.loads(line)["key"]) for line in out.read_text().splitlines()]
    assert len(set(planned)) == 10
    assert set(planned) <= set(keys)
    assert {key.kind for key in planned} == {key.kind for key in keys}
    assert json.loads(result.stdout)["keys"] == [key.to_json() for key in planned]


def test_a_plan_leaves_out_what_does_not_fit_the_board(tmp_path, monkeypatch):
    """The table knows larger operators: a core has no memories of its own."""
    keys = made.convolutions()
    monkeypatch.setattr(calibrate, "space_keys", lambda *_: keys)
    table = made.write_table(tmp_path / "table.jsonl", [made.row(key) for key in keys])
    small = tmp_path / "small.toml"
    small.write_text(made.board().definition.replace("bytes = 196_608", "bytes = 12_288"))
    able = {key for key in keys if fits(made.row(key), load_target(str(small)))}
    assert 10 < len(able) < len(keys)

    def plan(count: int) -> Any:
        words = ("calibrate", "--target", small, "--plan", count, "--table", table.path)
        words = (*words, "--space", "micronas", "--json")
        return CliRunner().invoke(app, [str(word) for word in words])

    planned = json.loads(plan(len(able)).stdout)["keys"]
    assert {OpKey.from_json(key) for key in planned} == able
    refused = plan(len(keys))
    assert refused.exit_code == 2
    assert f"{len(keys)} operators cannot be chosen out of {len(able)}" in refused.stderr


def test_the_commands_after_a_plan_name_the_board_as_it_was_given(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(load_target(made.BOARD).definition)
    keys = parse_space("micronas:32x1x2").keys("dsp")
    table = made.write_table(tmp_path / "table.jsonl", [made.row(key) for key in keys])
    words = ("--plan", 10, "--space", "micronas:32x1x2", "--table", table.path, "--out")
    result = CliRunner().invoke(
        app, ["calibrate", "--target", *map(str, (mine, *words, tmp_path / "plan.jsonl"))]
    )
    assert result.exit_code == 0, result.stderr
    shown = "".join(result.stdout.split())
    assert f"tinytailormeasure--target{mine}--keys" in shown
    assert f"tinytailorcalibrate--target{mine}--measured" in shown


def test_either_a_plan_or_measurements_are_asked_for():
    result = CliRunner().invoke(app, ["calibrate", "--target", made.BOARD])
    assert result.exit_code == 2
    assert "either --measured FILE" in result.stderr


def test_the_operators_of_a_plan_are_measured_and_no_others(tmp_path):
    keys = (make_key(Dense(5), ((1, 24),), "dsp"), make_key(Add(), ((1, 2, 2, 8),) * 2, "dsp"))
    plan, out = tmp_path / "plan.jsonl", tmp_path / "table.jsonl"
    write_plan(keys, plan)
    words = ("measure", "--target", made.BOARD, "--keys", plan, "--out", out, "--json")
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["needed"] == 2
    assert set(LatencyTable.load(out)) == set(keys)
