# SPDX-License-Identifier: Apache-2.0
"""A predicted cost against the project that the compiler emits and the emulator runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import pytest

from tinytailor.compiler import Graph, Node, Tensor, compile_model, key_of
from tinytailor.compiler.ir import check
from tinytailor.compiler.mcu.report import quantities, summary
from tinytailor.compiler.opkey import OpKey, example_constants, make_key
from tinytailor.compiler.ops import (
    AveragePool2d,
    Compand,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Operator,
    Reshape,
)
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Budget, LatencyTable
from tinytailor.latency_tables.cost import network_cost
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.targets import CORES, Board, cross_toolchain, load_target
from tinytailor.targets.errors import InputError

# one process, so that each table is measured once
pytestmark = [pytest.mark.emulator, pytest.mark.tvm, pytest.mark.xdist_group("cost")]

OPERATORS = (
    Conv2d(16, Window((3, 3), (2, 2), (1, 1, 1, 1))),
    DepthwiseConv2d(Window((3, 3), padding=(1, 1, 1, 1))),
    Conv2d(24, Window((1, 1))),
    AveragePool2d(Window((6, 6))),
    Reshape((1, 24)),
    Dense(5),
)


SAMPLED = (Compand(9), *OPERATORS)  # of a sensor's int16


def network(isa: str, operators: Sequence[Operator] = OPERATORS) -> Graph:
    """A small network of the operators that keys stand for, so that only the glue is new."""
    entered = operators[0].dtypes("int8")[0]
    tensors, nodes = [Tensor("x0", (1, 12, 12, 3), entered)], []
    for i, operator in enumerate(operators):
        shapes = (tensors[-1].shape,)
        op = operator
        if op.kind != "reshape":
            op = make_key(operator, shapes, isa).operator()
        tensors.append(Tensor(f"x{i + 1}", op.output_shape(*shapes)))
        constants = example_constants(op, shapes, seed=i)
        nodes.append(Node(f"n{i}", op, (f"x{i}",), f"x{i + 1}", constants))
    names = {tensor.name: tensor for tensor in tensors}
    return check(Graph("small", ("x0",), (tensors[-1].name,), names, tuple(nodes)))


@pytest.fixture(scope="module", params=["nucleo-f446re", "rpi-pico"])
def priced(request, tmp_path_factory):
    """Board, graph, table, and the manifest of the emitted project."""
    board = load_target(request.param)
    assert isinstance(board, Board)
    isa, folder = str(board.core.isa), tmp_path_factory.mktemp("cost")
    graph = network(isa)
    keys = [key_of(node, graph, isa) for node in graph.nodes if node.op.kind != "reshape"]
    table = measure(keys, board, cross_toolchain(), folder / "table.jsonl")
    manifest = compile_model(graph, board, folder / "project", "small", model_sha256="")
    return board, graph, table, manifest


@pytest.fixture(scope="module", params=["nucleo-f446re", "rpi-pico"])
def sampled(request, tmp_path_factory):
    """The same of a network that begins with the samples of a sensor."""
    board = load_target(request.param)
    isa, folder = str(board.core.isa), tmp_path_factory.mktemp("sampled")
    graph = network(isa, SAMPLED)
    keys = [key_of(node, graph, isa) for node in graph.nodes if node.op.kind != "reshape"]
    keys = [OpKey.from_json(json.loads(json.dumps(key.to_json()))) for key in keys]
    table = measure(keys, board, cross_toolchain(), folder / "table.jsonl")
    manifest = compile_model(graph, board, folder / "project", "small", model_sha256="")
    return board, graph, table, manifest


def test_a_network_of_samples_costs_what_is_predicted(sampled):
    board, graph, table, manifest = sampled
    cost = network_cost(graph, table, board)
    assert cost.latency_ms == pytest.approx(manifest["latency_ms"], rel=0.001)
    assert cost.arena_bytes == manifest["arena_bytes"]
    assert 0 <= cost.ram_bytes - manifest["ram_bytes"] <= 24
    assert abs(cost.flash_bytes - manifest["flash_bytes"]) <= 8 * len(graph.nodes)
    exact = network_cost(graph, table, board, toolchain=cross_toolchain())
    assert (exact.ram_bytes, exact.flash_bytes) == (manifest["ram_bytes"], manifest["flash_bytes"])


def test_the_predicted_arena_is_the_emitted_one_to_the_byte(priced):
    board, graph, table, manifest = priced
    assert network_cost(graph, table, board).arena_bytes == manifest["arena_bytes"]


def test_the_predicted_latency_is_the_profiled_one_within_a_percent(priced):
    board, graph, table, manifest = priced
    cost = network_cost(graph, table, board)
    assert cost.latency_ms == pytest.approx(manifest["latency_ms"], rel=0.01)
    assert cost.instructions == pytest.approx(manifest["instructions"], rel=0.01)
    assert cost.glue_cycles == pytest.approx(manifest["glue"]["cycles"], abs=40)


def test_the_layers_add_up_to_the_whole(priced):
    board, graph, table, _ = priced
    cost = network_cost(graph, table, board)
    assert cost.cycles == pytest.approx(cost.glue_cycles + sum(n.cycles for n in cost.per_node))
    assert [node.name for node in cost.per_node] == ["n0", "n1", "n2", "n3", "n5"]


def test_predicted_memory_is_close_to_the_linked_image(priced):
    board, graph, table, manifest = priced
    cost = network_cost(graph, table, board)
    assert 0 <= cost.ram_bytes - manifest["ram_bytes"] <= 24
    assert 0 <= cost.flash_bytes - manifest["flash_bytes"] <= 8 * len(graph.nodes)
    assert cost.provenance["flash"].startswith("summed")


def test_ram_and_flash_of_the_linked_program_are_the_compiled_ones_to_the_byte(priced):
    board, graph, table, manifest = priced
    cost = network_cost(graph, table, board, toolchain=cross_toolchain())
    assert (cost.ram_bytes, cost.flash_bytes) == (manifest["ram_bytes"], manifest["flash_bytes"])
    assert cost.arena_bytes == manifest["arena_bytes"]
    assert "linked" in cost.provenance["flash"]


def test_a_network_has_its_size_before_it_has_weights(priced):
    board, graph, table, manifest = priced
    cost = network_cost(graph, table, board, weights=False, toolchain=cross_toolchain())
    assert (cost.ram_bytes, cost.flash_bytes) == (manifest["ram_bytes"], manifest["flash_bytes"])


def test_a_cost_says_where_its_numbers_come_from(priced):
    board, graph, table, _ = priced
    provenance = network_cost(graph, table, board).to_json()["provenance"]
    assert "emulated" in provenance["latency"]
    assert board.latency.trust in provenance["latency"]


def test_two_sets_of_constants_give_a_range_of_times(priced, tmp_path):
    board, graph, table, _ = priced
    assert network_cost(graph, table, board).latency_range_ms is None
    other = dataclasses.replace(board.latency, core=2 * board.latency.core)
    both = dataclasses.replace(board.latency, alternative=other)
    doubtful = dataclasses.replace(board, latency_model=both)
    cost = network_cost(graph, table, doubtful)
    low, high = cost.latency_range_ms
    assert low == pytest.approx(cost.latency_ms)
    assert high == pytest.approx(
        network_cost(graph, table, dataclasses.replace(board, latency_model=other)).latency_ms
    )
    assert cost.to_json()["latency_range_ms"] == [low, high]
    manifest = compile_model(graph, doubtful, tmp_path / "p", "small", model_sha256="")
    assert manifest["latency_range_ms"] == pytest.approx([low, high], rel=0.01)
    said = f"from {manifest['latency_range_ms'][0]:.3f} to {manifest['latency_range_ms'][1]:.3f} ms"
    assert said in quantities(manifest)[0].title
    assert said in summary(manifest)[0]


def test_a_missing_operator_is_an_error_never_zero(priced, tmp_path):
    board, graph, table, _ = priced
    empty = LatencyTable.create(tmp_path / "empty.jsonl", table.header)
    with pytest.raises(InputError, match=r"no row for conv2d 1x12x12x3 .* tinytailor measure"):
        network_cost(graph, empty, board)


def test_counts_hold_for_every_board_of_their_core_and_for_no_other(priced):
    board, graph, table, _ = priced
    twice = {name: 2 * getattr(board.latency, name) for name in ("core", "fetch_byte")}
    model = dataclasses.replace(board.latency, **twice, flash_load=0.5)
    mine = dataclasses.replace(board, name="mine", clock_hz=1_000_000, latency_model=model)
    cost, other = (network_cost(graph, table, one) for one in (board, mine))
    assert cost.instructions == other.instructions
    loads = sum(node.row.flash_loads for node in other.per_node)
    assert other.cycles == pytest.approx(2 * cost.cycles + 0.5 * loads)
    assert other.latency_ms == pytest.approx(other.cycles / 1e3)
    with pytest.raises(InputError, match=rf"holds operators of {board.core.name}, and .* has a"):
        network_cost(graph, table, dataclasses.replace(board, core=CORES["cortex-m3"]))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("target", "another", r"was measured on another \(cortex-m.*, 0 Hz\), not on "),
        ("toolchain_flags", ("-O0",), r"was compiled with -O0, and code for .* is with -m"),
    ],
)
def test_measured_cycles_of_another_board_and_counts_of_other_code_are_refused(
    priced, tmp_path, field, value, said
):
    board, graph, table, _ = priced
    clock = {"clock_hz": 0} if field == "target" else {}
    other = LatencyTable.create(
        tmp_path / "other.jsonl", dataclasses.replace(table.header, **{field: value, **clock})
    )
    with pytest.raises(InputError, match=said):
        network_cost(graph, other, board)


def test_a_budget_says_what_breaks_it(priced):
    board, graph, table, _ = priced
    cost = network_cost(graph, table, board)
    exact = Budget(cost.latency_ms, cost.ram_bytes, cost.flash_bytes)
    assert exact.admits(cost)
    assert Budget().admits(cost)
    tight = Budget(cost.latency_ms / 2, cost.ram_bytes, cost.flash_bytes - 1)
    assert not tight.admits(cost)
    assert tight.excess(cost) == {
        "latency_ms": pytest.approx(2.0),
        "flash_bytes": cost.flash_bytes / (cost.flash_bytes - 1),
    }
    half = Budget(energy_uj=20 * cost.latency_ms, active_mw=40)
    assert half.excess(cost) == {"energy_uj": pytest.approx(2.0)}
