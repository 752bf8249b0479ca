# SPDX-License-Identifier: Apache-2.0
"""A search over a table that lacks rows: refused, or priced by estimates that every cost admits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from synthetic_table import row, write_table

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables import LatencyTable
from tinytailor.nas.prepare import table_costs
from tinytailor.nas.settings import SearchSettings
from tinytailor.nas.spaces import Space, parse_space
from tinytailor.targets import Board, load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]

TARGET = "nucleo-f446re"
LEFT_OUT = 5  # every fifth convolution has no row


@dataclass(frozen=True)
class Listed:
    """A space whose operators were listed once, which takes seconds."""

    space: Space
    listed: tuple[OpKey, ...]
    spec: str

    def keys(self, isa: str) -> tuple[OpKey, ...]:
        return self.listed


@pytest.fixture(scope="module")
def space() -> Listed:
    space = parse_space("micronas:32x1x2")
    return Listed(space, space.keys("dsp"), space.spec)


@pytest.fixture(scope="module")
def table(space, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("estimates")
    board = load_target(TARGET)
    assert isinstance(board, Board)
    write_table(folder / "full.jsonl", space, board)
    full = LatencyTable.load(folder / "full.jsonl")
    kept = [k for i, k in enumerate(sorted(full)) if i % LEFT_OUT or k.kind != "conv2d"]
    LatencyTable.create(folder / "part.jsonl", full.header).append([row(key) for key in kept])
    return folder / "part.jsonl"


def settings(table: Path, **other: bool) -> SearchSettings:
    return SearchSettings("none", (TARGET,), (str(table),), "run", **other)


def test_a_search_refuses_a_table_that_lacks_rows(space, table):
    with pytest.raises(InputError, match=r"lacks \d+ of the \d+ operators .* tinytailor measure"):
        table_costs(settings(table), space)


def test_a_search_that_allows_estimates_says_so_in_every_cost(space, table):
    (costs,) = table_costs(settings(table, allow_estimates=True), space)
    topology = space.space.topology(space.space.smallest())
    cost = costs.whole(topology)
    missing = [node.row for node in cost.per_node if node.row.key not in costs.table.rows]
    assert missing, "the smallest network has an operator without a row"
    assert cost.estimates is not None
    assert cost.estimates.operators == len(missing)
    assert "estimated for" in cost.to_json()["provenance"]["latency"]
    priced = costs.operator(missing[0].key)
    assert priced.latency_ms == pytest.approx(
        missing[0].cycles_under(costs.board.latency) / costs.board.clock_hz * 1e3
    )


def test_the_report_of_a_search_is_headed_by_what_is_estimated():
    from tinytailor.cli.report import cost_section
    from tinytailor.compiler.sections import Quantity

    report = {"name": TARGET, "profile": {"latency_ms": 1.0}, "budget": {}}
    numbers, shown = {"latency_ms": 1.5}, (Quantity("latency", "latency_ms", "{:.3f} ms"),)
    text = "estimated for 2 of 7 operators"
    estimated = cost_section(
        {**report, "predicted": {**numbers, "estimated": {"text": text}}}, shown
    )
    assert text in estimated.title
    assert "estimated" in estimated.columns
    measured = cost_section({**report, "predicted": {**numbers, "estimated": None}}, shown)
    assert "estimated" not in str((measured.title, measured.columns))
