# SPDX-License-Identifier: Apache-2.0
"""Memory as it is predicted is that of the emitted code, also where constants decide it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Builder, residual_network

from tinytailor.compiler import constant_bytes, plan_memory
from tinytailor.compiler.ir import Graph, check
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.opkey import key_of
from tinytailor.compiler.ops import Conv2d, Take
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.passes import optimize

pytestmark = [pytest.mark.tvm, pytest.mark.emulator]

ROWS = 16
TABLES = {
    "as they are": np.arange(ROWS),
    "backwards": np.arange(ROWS)[::-1],
    "the first again and again": np.zeros(ROWS, int),
    "every second, then the rest": np.argsort(np.arange(ROWS) % 2, kind="stable"),
    "each one later": np.minimum(np.arange(ROWS) + 1, ROWS - 1),
}


def taken(*tables: np.ndarray) -> Graph:
    """Rows of a map by each of these tables, one after the other, between convolutions."""
    b = Builder((1, ROWS, 4, 4))
    name = b.add("a", Conv2d(4, Window((1, 1))), "x")
    for i in range(len(tables)):
        name = b.add(f"t{i}", Take((1,), (ROWS,)), name)
    graph = b.graph(b.add("z", Conv2d(1, Window((1, 1))), name))
    by_node = {f"layer_t{i}": table.astype(np.int16) for i, table in enumerate(tables)}
    nodes = tuple(
        replace(node, constants={"index1": by_node[node.name]}) if node.name in by_node else node
        for node in graph.nodes
    )
    return check(replace(graph, nodes=nodes))


def emitted(graph: Graph, isa: str) -> int:
    return lower_graph(graph, isa, "net").plan.arena_bytes


@pytest.mark.parametrize("isa", ["base", "dsp"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_arena_of_selected_rows_is_predicted_to_the_byte(table, isa):
    assert plan_memory(taken(table), isa).arena_bytes == emitted(taken(table), isa)


def test_operators_of_one_key_take_as_much_memory_as_their_constants_ask_for():
    graphs = [taken(table) for table in TABLES.values()]
    keys = {key_of(graph.nodes[1], graph, "dsp") for graph in graphs}
    assert len(keys) == 1
    assert len({plan_memory(graph, "dsp").arena_bytes for graph in graphs}) > 2


def test_several_of_one_key_in_a_network_are_told_apart():
    rng = np.random.default_rng(0)
    for _ in range(6):
        tables = [list(TABLES.values())[i] for i in rng.integers(len(TABLES), size=3)]
        graph = taken(*tables, rng.integers(0, ROWS, ROWS))
        assert plan_memory(graph, "dsp").arena_bytes == emitted(graph, "dsp")


@pytest.mark.parametrize("isa", ["base", "dsp", "mve"])
def test_arena_and_constants_of_a_network_are_predicted_to_the_byte(isa):
    graph, _ = optimize(residual_network())
    program = lower_graph(graph, isa, "net")
    assert plan_memory(graph, isa).arena_bytes == program.plan.arena_bytes
    assert constant_bytes(graph, isa) == sum(k.placed_bytes for k in program.kernels.values())
