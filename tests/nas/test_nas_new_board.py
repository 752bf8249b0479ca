# SPDX-License-Identifier: Apache-2.0
"""A new board of a known core is planned, checked and searched for without measuring anything.

This file is not marked for an emulator, so a test that starts one fails (tests/needs.py).
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from synthetic_table import row, write_rows
from typer.testing import CliRunner

from tinytailor.cli.main import app
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring import shipped
from tinytailor.latency_tables.table.origin import header_for
from tinytailor.nas.prepare import table_costs
from tinytailor.nas.settings import SearchSettings
from tinytailor.nas.spaces import parse_space
from tinytailor.targets import Board, cross_toolchain, load_target

pytestmark = [pytest.mark.torch, pytest.mark.tvm]

SPEC = "image:8x8x1x2"


@pytest.fixture(scope="module")
def keys() -> tuple[OpKey, ...]:
    return parse_space(SPEC).keys("dsp")


@pytest.fixture
def known(keys, tmp_path, monkeypatch) -> Path:
    """The shipped table of the core, as another of its boards would make it now."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    path, board = shipped.shipped_path("cortex-m4", SPEC), load_target("nucleo-f446re")
    assert isinstance(board, Board)
    write_rows(path, keys[:1], board)
    glue = LatencyTable.load(path).header.glue
    header = header_for(board, cross_toolchain(), "emulator", glue, "2026-01-01")
    LatencyTable.create(path, header).append([row(key) for key in keys])
    return path


@pytest.fixture
def board_file(repository: Path, known: Path) -> Path:
    """The example of docs/own-board.md."""
    page = (repository / "docs" / "own-board.md").read_text()
    start = page.index("    name  =")
    Path("mine.toml").write_text(textwrap.dedent(page[start : page.index("Is it read")]))
    return Path("mine.toml")


def run(*words: object) -> tuple[dict[str, Any], str]:
    result = CliRunner().invoke(app, [str(word) for word in (*words, "--json")])
    assert result.exit_code in (0, 1), result.stderr
    return json.loads(result.stdout), result.stderr


def test_what_is_known_of_the_core_serves_the_new_board(keys, board_file, known):
    space = ("--space", SPEC)
    plan, told = run("calibrate", "--target", board_file, "--plan", 10, *space, "-o", "plan.jsonl")
    assert len(plan["keys"]) == 10
    assert plan["table"] == "tables/cortex-m4-image.jsonl"
    assert f"{len(keys)} of {len(keys)} operators are there, 0 are measured now" in told
    known.unlink()
    measured, _ = run("measure", "--target", board_file, *space)
    assert (measured["known"], measured["new"], measured["failed"]) == (len(keys), 0, [])
    assert run("calibrate", "--target", board_file, "--plan", 10, *space)[0]["keys"] == plan["keys"]
    checked, _ = run("table", "check", plan["table"], "--target", board_file, *space)
    assert checked["wanted"] == len(keys)
    assert not {"missing", "foreign"} & {one["what"] for one in checked["findings"]}


def test_a_search_prices_it_with_its_own_constants(board_file, known):
    board, other = load_target(str(board_file)), load_target("nicla-sense-me")
    assert isinstance(board, Board)
    space = parse_space(SPEC)
    targets = (str(board_file), other.name)
    settings = SearchSettings("none", targets, (str(known),) * 2, "run")
    mine, theirs = table_costs(settings, space)
    topology = space.topology(space.smallest())
    cost = mine.whole(topology)
    core_cycles = sum(node.row.core_cycles for node in cost.per_node)
    glue = LatencyTable.load(known).header.glue
    core_cycles += (glue.base + glue.per_node.times(len(cost.per_node))).core_cycles
    assert cost.latency_ms == pytest.approx(1.2 * core_cycles / 100e6 * 1e3)
    assert board.latency.trust in cost.provenance["latency"]
    assert theirs.whole(topology).latency_ms > cost.latency_ms
