# SPDX-License-Identifier: Apache-2.0
"""Views: what runs nothing, why the rest runs, and whole plans executed in one block of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Builder

from tinytailor.compiler.execute import execute, execute_all
from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.mcu.host import run_on_host
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.memory.aliasing import WORD, Place, places
from tinytailor.compiler.memory.plan import plan
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import (
    Add,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    MaxPool2d,
    Reshape,
    Slice,
)
from tinytailor.compiler.ops.slice import run_start
from tinytailor.compiler.ops.window import Window
from tinytailor.targets import cross_toolchain, host_toolchain, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def random_network(seed: int) -> Graph:
    """A random DAG in which maps are joined, cut, reshaped and computed on; several outputs."""
    rng = np.random.default_rng(seed)
    tensors = {"x": Tensor("x", (1, 8, 3, 4))}
    nodes: list[Node] = []

    def add(op, *inputs: str) -> None:
        shapes = tuple(tensors[t].shape for t in inputs)
        name = f"t{len(nodes)}"
        tensors[name] = Tensor(name, op.output_shape(*shapes))
        nodes.append(Node(f"n{name}", op, inputs, name, example_constants(op, shapes, len(nodes))))

    for _ in range(int(rng.integers(4, 16))):
        names = list(tensors)[-5:]
        name = names[int(rng.integers(len(names)))]
        _, h, w, c = tensors[name].shape
        alike = [t for t in names if tensors[t].shape[2:] == (w, c)]
        equal = [t for t in names if tensors[t].shape == (1, h, w, c)]
        match int(rng.integers(8)):
            case 0:
                add(Conv2d(int(rng.choice([3, 4])), Window((1, 1))), name)
            case 1:
                add(DepthwiseConv2d(Window((3, 3), padding=(1, 1, 1, 1))), name)
            case 2 | 3:
                count = int(rng.integers(1, 4))
                add(Concat(1), *(alike[int(rng.integers(len(alike)))] for _ in range(count)))
            case 4 | 5:
                begin = int(rng.integers(h))
                size = int(rng.integers(1, h - begin + 1))
                add(Slice((0, begin, 0, 0), (1, size, w, c)), name)
            case 6:
                add(Reshape((1, h * w, 1, c) if rng.random() < 0.5 else (1, w * h, 1, c)), name)
            case _:
                add(Add.from_key({}), name, equal[int(rng.integers(len(equal)))])
    read = {t for node in nodes for t in node.inputs}
    ends = [node.output for node in nodes if node.output not in read]
    if rng.random() < 0.5 and len(nodes) > 2:
        ends = list(dict.fromkeys([*ends, nodes[len(nodes) // 2].output]))
    return check(Graph("random", ("x",), tuple(ends), tensors, tuple(nodes)))


def run_in_place(graph: Graph, overlap: dict, x: np.ndarray) -> list[np.ndarray]:
    """Executes the plan of ``graph`` with all its bytes in one arena, as the emitted code does."""
    result = plan(graph, places(graph), {}, overlap)
    views = places(graph).views
    rng = np.random.default_rng(0)
    borders = {t: np.zeros(graph.tensors[t].bytes, np.int8) for t in graph.outputs}
    borders["x"] = x.ravel().copy()
    arena = rng.integers(-128, 128, result.arena_bytes).astype(np.int8)

    def memory(tensor: str) -> np.ndarray:
        at, size = result.place[tensor], graph.tensors[tensor].bytes
        if at.home in borders:
            block = borders[at.home][at.offset : at.offset + size]
        else:
            start = result.offsets[at.home] + at.offset
            block = arena[start : start + size]
        assert len(block) == size
        return block

    for node in graph.nodes:
        if node.name in views:
            continue
        inputs = tuple(memory(t).reshape(graph.tensors[t].shape).copy() for t in node.inputs)
        memory(node.output)[:] = node.op.reference(inputs, node.constants).ravel()
    return [borders[t].reshape(graph.tensors[t].shape) for t in graph.outputs]


@pytest.mark.parametrize("seed", range(200))
def test_a_plan_with_views_computes_the_graph_in_one_block_of_bytes(seed):
    graph = random_network(seed)
    x = np.random.default_rng(seed).integers(-128, 128, (1, 8, 3, 4)).astype(np.int8)
    overlap = {n.name: {0: 0, 1: 0} if n.op.kind == "add" else {0: 0} for n in graph.nodes}
    for expected, actual in zip(execute(graph, x), run_in_place(graph, overlap, x), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_the_random_networks_have_views_of_every_kind_and_copies_for_every_reason():
    found: dict[str, set[str]] = {"views": set(), "copies": set()}
    for seed in range(200):
        graph = random_network(seed)
        result = places(graph)
        found["views"] |= {n.op.kind for n in graph.nodes if n.name in result.views}
        found["copies"] |= {n.op.kind for n in graph.nodes if n.name in result.copies}
        assert all(at.offset % WORD == 0 for at in result.of.values())
    assert found["views"] == {"concat", "reshape", "slice"}
    assert found["copies"] == {"concat", "reshape", "slice"}


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_emitted_code_of_networks_with_views_computes_them(seed, tmp_path):
    graph, board = random_network(seed), load_target("nucleo-f446re")
    network = lower_graph(graph, board.core.isa, "net")
    write_sources(network, board, cross_toolchain(), tmp_path, "")
    x = np.random.default_rng(seed).integers(-128, 128, (3, 8, 3, 4)).astype(np.int8)
    outputs = run_on_host(tmp_path, graph, "net", host_toolchain(), [x])
    for expected, actual in zip(execute(graph, x), outputs, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_branches_are_computed_where_they_belong_in_the_joined_map():
    b = Builder((1, 1, 1, 16))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    c = b.add("c", Conv2d(12, Window((1, 1))), "x")
    d = b.add("d", Concat(3), a, c)
    e = b.add("e", Slice((0, 0, 0, 8), (1, 1, 1, 12)), d)
    f = b.add("f", Conv2d(4, Window((1, 1))), e)
    g = b.add("g", Conv2d(4, Window((1, 1))), d)
    graph = b.graph(b.add("z", Add(), f, g))
    result = places(graph)
    assert result.views == {"layer_d", "layer_e"}
    assert result.of["c"] == result.of["e"] == Place("d", 8)
    assert plan(graph, places(graph), {}, {}).arena_bytes <= 24 + 2 * 8


def test_joined_maps_join_again_without_copies():
    """Each layer reads all before it: the maps grow in place."""
    b = Builder((1, 6, 4, 8))
    name = b.add("t0", MaxPool2d(Window((1, 1))), "x")
    for i in range(1, 4):
        layer = b.add(f"c{i}", Conv2d(8, Window((3, 3), padding=(1, 1, 1, 1))), name)
        name = b.add(f"t{i}", Concat(1), name, layer)
    graph = b.graph(b.add("z", MaxPool2d(Window((24, 4))), name))
    result = places(graph)
    assert result.of["t0"] == Place("t3", 0)
    assert len(result.views) == 3
    assert plan(graph, places(graph), {}, {}).arena_bytes == graph.tensors["t3"].bytes


def test_what_cannot_be_a_view_says_why():
    b = Builder((1, 4, 3, 5))
    a = b.add("a", Conv2d(5, Window((1, 1))), "x")
    c = b.add("c", Concat(3), a, a)
    d = b.add("d", Concat(1), a, a)
    e = b.add("e", Concat(1), d, "x")
    f = b.add("f", Slice((0, 1, 0, 0), (1, 2, 3, 5)), e)
    g = b.add("g", Slice((0, 0, 0, 1), (1, 2, 3, 2)), c)
    r = b.add("r", Reshape((1, 60)), "x")
    s = b.add("s", Dense(4), r)
    graph = b.graph(s)
    graph = check(Graph("test", ("x",), (s, f, g, r), graph.tensors, graph.nodes))
    why = places(graph).copies
    assert "alternate" in why["layer_c"]
    assert "joined twice" in why["layer_d"]
    assert "lies in a border" in why["layer_e"]
    assert "output of the graph" in why["layer_f"]
    assert "not in one piece" in why["layer_g"]
    assert "one border" in why["layer_r"]


def test_a_slice_is_one_run_exactly_where_its_bytes_follow_each_other():
    rng = np.random.default_rng(0)
    for _ in range(500):
        shape = tuple(int(n) for n in rng.integers(1, 4, 4))
        begin = tuple(int(rng.integers(n)) for n in shape)
        size = tuple(int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True))
        cut = tuple(slice(b, b + n) for b, n in zip(begin, size, strict=True))
        taken = np.arange(np.prod(shape)).reshape(shape)[cut].ravel()
        together = np.array_equal(taken, np.arange(taken[0], taken[0] + len(taken)))
        assert run_start(shape, begin, size) == (taken[0] if together else None)


def test_every_tensor_has_its_value_where_it_is_placed_while_it_lives():
    """The arena is inspected after each node, not only at the end."""
    for seed in range(40):
        graph = random_network(seed)
        x = np.random.default_rng(seed).integers(-128, 128, (1, 8, 3, 4)).astype(np.int8)
        values = execute_all(graph, {"x": x})
        result = plan(graph, places(graph), {}, {})
        arena = np.zeros(result.arena_bytes, np.int8)
        for i, node in enumerate(graph.nodes):
            for buffer in result.buffers:
                if buffer.name == node.output:
                    start = result.start(buffer)
                    arena[start : start + buffer.bytes] = values[node.output].ravel()
            for buffer in result.buffers:
                if buffer.first <= i <= buffer.last:
                    start = result.start(buffer)
                    held = arena[start : start + buffer.bytes]
                    np.testing.assert_array_equal(held, values[buffer.name].ravel())
