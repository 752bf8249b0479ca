# SPDX-License-Identifier: Apache-2.0
"""The arena planner: nothing alive at once overlaps, and the size is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from networks import residual_network

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.memory import ALIGNMENT, plan, scratch_name
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import Add, Conv2d, Reshape


def random_graph(seed: int) -> Graph:
    """A random DAG of pointwise convolutions and additions on 4x4 maps."""
    rng = np.random.default_rng(seed)
    tensors = {"x": Tensor("x", (1, 4, 4, 4))}
    nodes = []
    for i in range(int(rng.integers(3, 14))):
        names = list(tensors)
        name = names[int(rng.integers(max(0, len(names) - 4), len(names)))]
        twins = [t for t in names if tensors[t].shape == tensors[name].shape and t != name]
        if twins and rng.random() < 0.4:
            other = twins[int(rng.integers(len(twins)))]
            op, inputs = Add.from_key({}), (name, other)
        else:
            op, inputs = Conv2d(int(rng.integers(1, 9)), (1, 1)), (name,)
        shapes = tuple(tensors[t].shape for t in inputs)
        output = f"t{i}"
        tensors[output] = Tensor(output, op.output_shape(*shapes))
        nodes.append(Node(f"n{i}", op, inputs, output, example_constants(op, shapes, i)))
    return check(Graph("random", ("x",), (nodes[-1].output,), tensors, tuple(nodes)))


@pytest.mark.parametrize("seed", range(60))
def test_buffers_alive_at_the_same_time_do_not_overlap(seed):
    graph = random_graph(seed)
    rng = np.random.default_rng(seed)
    scratch = {node.name: int(rng.integers(0, 300)) for node in graph.nodes}
    in_place = {node.name: (0, 1) for node in graph.nodes if node.op.kind == "add"}
    result = plan(graph, scratch, in_place)
    spans = [(b, result.offsets[b.name], result.offsets[b.name] + b.bytes) for b in result.buffers]
    for i, (a, start, end) in enumerate(spans):
        assert start % ALIGNMENT == 0
        assert end <= result.arena_bytes
        for b, other_start, other_end in spans[:i]:
            if a.meets(b):
                assert end <= other_start or other_end <= start, (a, b)
    assert result.lower_bound_bytes <= result.arena_bytes
    live = set(result.place.values()) - {*graph.inputs, *graph.outputs}
    assert live == {b.name for b in result.buffers if "/" not in b.name}


@pytest.mark.parametrize("seed", range(60))
def test_a_tensor_keeps_its_value_until_its_last_reader(seed):
    """Replays the graph on memory: writing a buffer must never destroy a tensor still needed."""
    graph = random_graph(seed)
    in_place = {node.name: (0, 1) for node in graph.nodes if node.op.kind == "add"}
    result = plan(graph, {node.name: 40 for node in graph.nodes}, in_place)
    owner: dict[str, str] = {name: name for name in graph.inputs}
    for node in graph.nodes:
        for name in node.inputs:
            assert owner[result.place[name]] == name, f"{name} was overwritten before {node.name}"
        owner[result.place[node.output]] = node.output
    for name in graph.outputs:
        assert owner[result.place[name]] == name


def test_scratch_is_part_of_the_arena():
    graph = random_graph(3)
    small = plan(graph, {}, {}).arena_bytes
    big = plan(graph, {graph.nodes[0].name: 10_000}, {})
    assert big.arena_bytes >= 10_000 > small
    assert scratch_name(graph.nodes[0].name) in big.offsets


def test_a_residual_sum_takes_over_the_memory_of_a_dead_input():
    graph = residual_network()
    without = plan(graph, {}, {})
    in_place = {n.name: (0, 1) for n in graph.nodes if n.op.kind == "add"}
    assert plan(graph, {}, in_place).arena_bytes < without.arena_bytes


def test_reshaped_tensors_share_memory():
    graph = residual_network()
    reshape = next(n for n in graph.nodes if isinstance(n.op, Reshape))
    place = plan(graph, {}, {}).place
    assert place[reshape.output] == place[reshape.inputs[0]]
