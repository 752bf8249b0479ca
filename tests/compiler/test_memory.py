# SPDX-License-Identifier: Apache-2.0
"""The arena planner: nothing alive at once collides, and what is emitted computes the graph."""

from __future__ import annotations

import numpy as np
import pytest
from networks import residual_network

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.kernels.bricks.overlap import overlap_distance
from tinytailor.compiler.mcu.host import run_on_host
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.memory.aliasing import places
from tinytailor.compiler.memory.plan import ALIGNMENT, plan, scratch_name
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import (
    Add,
    AveragePool2d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv2d,
    GroupedConv2d,
    MaxPool2d,
    Mul,
    Reshape,
    SquareDeformDW,
)
from tinytailor.compiler.ops.window import Window
from tinytailor.targets import cross_toolchain, host_toolchain, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def random_operator(rng: np.random.Generator, channels: int):
    """An operator on one map that keeps its height and width, or halves them."""
    stride = (2, 2) if rng.random() < 0.15 else (1, 1)
    border = (1, 1, 1, 1)
    match int(rng.integers(10)):
        case 0:
            return Conv2d(channels, Window((1, 1)))
        case 1:
            return Conv2d(int(rng.integers(1, 9)), Window((1, 1), stride))
        case 2:
            return Conv2d(int(rng.integers(1, 9)), Window((3, 3), stride, border))
        case 3:
            return Conv2d(int(rng.integers(1, 9)), Window((5, 1), stride, (2, 0, 2, 0)))
        case 4:
            return DepthwiseConv2d(Window((3, 3), stride, border))
        case 5:
            return MaxPool2d(Window((3, 3), stride, border))
        case 6:
            return SquareDeformDW()
        case 7:
            outputs = channels * int(rng.integers(1, 3)) if channels < 6 else channels
            return GroupedConv2d(outputs, channels, Window((3, 3), stride, border))
        case 8:
            outputs = int(rng.integers(1, 9))
            if stride == (2, 2):
                return ConvTranspose2d(outputs, Window((4, 3), stride, (1, 1, 1, 0)))
            return ConvTranspose2d(outputs, Window((3, 3), stride, border))
        case _:
            return AveragePool2d(Window((3, 2), stride, (1, 0, 1, 1)))


def random_graph(seed: int) -> Graph:
    """A random DAG of convolutions, depthwise convolutions, pools and additions."""
    rng = np.random.default_rng(seed)
    tensors = {"x": Tensor("x", (1, 9, 7, 4))}
    nodes = []
    for i in range(int(rng.integers(3, 14))):
        names = list(tensors)
        name = names[int(rng.integers(max(0, len(names) - 3), len(names)))]
        twins = [t for t in names if tensors[t].shape == tensors[name].shape and t != name]
        if twins and rng.random() < 0.4:
            other = twins[int(rng.integers(len(twins)))]
            kind = Add if rng.random() < 0.6 else Mul
            op, inputs = kind.from_key({"shifted": False}), (name, other)
        else:
            op, inputs = random_operator(rng, tensors[name].shape[3]), (name,)
        shapes = tuple(tensors[t].shape for t in inputs)
        output = f"t{i}"
        tensors[output] = Tensor(output, op.output_shape(*shapes))
        nodes.append(Node(f"n{i}", op, inputs, output, example_constants(op, shapes, i)))
    return check(Graph("random", ("x",), (nodes[-1].output,), tensors, tuple(nodes)))


@pytest.mark.parametrize("seed", range(60))
def test_buffers_alive_at_the_same_time_collide_only_as_their_node_allows(seed):
    graph = random_graph(seed)
    rng = np.random.default_rng(seed)
    scratch = {node.name: int(rng.integers(0, 300)) for node in graph.nodes}
    overlap = {
        n.name: {k: int(rng.integers(0, 60)) for k in range(len(n.inputs))} for n in graph.nodes
    }
    result = plan(graph, places(graph), scratch, overlap)
    spans = {b: (result.start(b), result.start(b) + b.bytes) for b in result.buffers}
    for a, (start, end) in spans.items():
        assert start % ALIGNMENT == 0
        assert end <= result.arena_bytes
        for b, (other, other_end) in spans.items():
            if a is b or not a.meets(b) or end <= other or other_end <= start:
                continue
            forward, backward = (a.name, b.name), (b.name, a.name)
            distance = result.overlaps.get(forward, result.overlaps.get(backward))
            assert distance is not None, (a, b)
            source, output = (start, other) if forward in result.overlaps else (other, start)
            assert output + distance <= source
    assert result.lower_bound_bytes <= result.arena_bytes
    live = {at.home for at in result.place.values()} - {*graph.inputs, *graph.outputs}
    assert live == {b.name for b in result.buffers if "/" not in b.name}


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_emitted_code_of_random_graphs_computes_them_in_the_planned_arena(seed, tmp_path):
    graph, board = random_graph(seed), load_target("nucleo-f446re")
    isa = "dsp" if seed % 8 else "base"
    network = lower_graph(graph, isa, "net")
    assert network.plan.arena_bytes >= network.plan.lower_bound_bytes
    write_sources(network, board, cross_toolchain(), tmp_path, "")
    x = np.random.default_rng(seed).integers(-128, 128, (3, 9, 7, 4)).astype(np.int8)
    (actual,) = run_on_host(tmp_path, graph, "net", host_toolchain(), [x])
    np.testing.assert_array_equal(actual, execute(graph, x)[0])


def test_the_overlap_distance_is_the_least_that_keeps_unread_bytes():
    """Brute force: every step reads some bytes, then writes; try all distances."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        steps = int(rng.integers(1, 8))
        reads = rng.integers(0, 40, steps)
        written = np.cumsum(rng.integers(0, 12, steps))

        def safe(distance, reads=reads, written=written):
            return all(
                written[k] - distance <= reads[later]
                for k in range(len(reads))
                for later in range(k + 1, len(reads))
            )

        least = next(d for d in range(200) if safe(d))
        assert overlap_distance(reads, written) == least


def test_scratch_is_part_of_the_arena():
    graph = random_graph(3)
    small = plan(graph, places(graph), {}, {}).arena_bytes
    big = plan(graph, places(graph), {graph.nodes[0].name: 10_000}, {})
    assert big.arena_bytes >= 10_000 > small
    assert scratch_name(graph.nodes[0].name) in big.offsets


def test_maps_laid_over_each_other_take_less_memory():
    graph = residual_network()
    apart = plan(graph, places(graph), {}, {}).arena_bytes
    kernels = lower_graph(graph, "dsp", "net").kernels
    overlap = {name: kernel.overlap for name, kernel in kernels.items()}
    assert plan(graph, places(graph), {}, overlap).arena_bytes < 0.8 * apart


def test_reshaped_tensors_share_memory():
    graph = residual_network()
    reshape = next(n for n in graph.nodes if isinstance(n.op, Reshape))
    place = plan(graph, places(graph), {}, {}).place
    assert place[reshape.output] == place[reshape.inputs[0]]
