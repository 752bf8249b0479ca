# SPDX-License-Identifier: Apache-2.0
"""The order of execution: the least peak of all orders, and never a worse one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from graphs import assert_same_integers
from networks import Builder, residual_network

from tinytailor.compiler import plan_memory
from tinytailor.compiler.ir import Graph, check
from tinytailor.compiler.ops import Add, Concat, Conv2d, Dense, MaxPool2d, Reshape
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.passes import order
from tinytailor.compiler.passes.order import order_for_memory

pytestmark = [pytest.mark.tvm]


def branches() -> Graph:
    """A wide branch computed first, a narrow one second: the other way round takes less."""
    b = Builder((1, 8, 8, 4))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    wide = b.add("wide", Conv2d(16, Window((1, 1))), a)
    narrow = b.add("narrow", Conv2d(24, Window((1, 1))), a)
    small = b.add("small", MaxPool2d(Window((4, 4), (4, 4))), narrow)
    less = b.add("less", MaxPool2d(Window((4, 4), (4, 4))), wide)
    both = b.add("both", Concat(3), small, less)
    _, h, w, c = b.tensors[both].shape
    r = b.add("r", Reshape((1, h * w * c)), both)
    return b.graph(b.add("z", Dense(4), r))


def test_an_order_with_a_lower_peak_is_taken():
    graph = branches()
    after, notes = order_for_memory(graph)
    assert notes[0].changed
    assert plan_memory(check(after), "dsp").arena_bytes < plan_memory(graph, "dsp").arena_bytes
    assert sorted(n.name for n in after.nodes) == sorted(n.name for n in graph.nodes)
    assert_same_integers(graph, after)


def test_a_chain_and_an_order_that_is_best_stay():
    graph = residual_network()
    assert order_for_memory(graph)[0] is graph
    after, _ = order_for_memory(branches())
    again, notes = order_for_memory(after)
    assert again is after
    assert "no order is below" in notes[0].text


def test_a_graph_with_too_many_orders_is_left_alone(monkeypatch):
    monkeypatch.setattr(order, "MOST_SETS", 3)
    graph = branches()
    after, notes = order_for_memory(graph)
    assert after is graph
    assert "more than 3 sets" in notes[0].text


def random_branches(seed: int, count: int) -> Graph:
    """Convolutions of several maps, every one that nothing reads pooled and joined at the end."""
    rng = np.random.default_rng(seed)
    b = Builder((1, 4, 4, 4))
    names = ["x"]
    for i in range(count):
        name = names[int(rng.integers(len(names)))]
        if rng.random() < 0.3 and len(names) > 2:
            op, inputs = Concat(3), (name, names[int(rng.integers(len(names)))])
        else:
            op, inputs = Conv2d(int(rng.integers(1, 40)), Window((1, 1))), (name,)
        names.append(b.add(f"t{i}", op, *inputs))
    read = {t for node in b.nodes for t in node.inputs}
    ends = [b.add(f"p{t}", MaxPool2d(Window((4, 4))), t) for t in names if t not in read]
    joined = b.add("j", Concat(3), *ends) if len(ends) > 1 else ends[0]
    return b.graph(b.add("z", Conv2d(2, Window((1, 1))), joined))


def valid_orders(graph: Graph):
    for candidate in permutations(range(len(graph.nodes))):
        known = set(graph.inputs)
        for i in candidate:
            if not known.issuperset(graph.nodes[i].inputs):
                break
            known.add(graph.nodes[i].output)
        else:
            yield list(candidate)


@pytest.mark.parametrize("seed", range(12))
def test_the_order_found_is_the_best_of_all(seed):
    graph = random_branches(seed, 4)
    after, _ = order_for_memory(graph)
    model = order._model(graph)
    place = {node.name: i for i, node in enumerate(graph.nodes)}
    found = max(model.steps([place[node.name] for node in after.nodes]))
    assert found == min(max(model.steps(other)) for other in valid_orders(graph))


def test_random_networks_keep_their_integers_and_the_arena_seldom_grows():
    better = worse = 0
    for seed in range(40):
        graph = random_branches(seed, 9)
        after, _ = order_for_memory(graph)
        assert_same_integers(graph, check(after))
        before, now = (plan_memory(g, "base").arena_bytes for g in (graph, after))
        better, worse = better + (now < before), worse + (now > before)
    assert better > 8
    assert worse <= 2


def test_additions_and_views_keep_their_place_behind_what_they_read():
    b = Builder((1, 4, 4, 8))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    r = b.add("r", Reshape((1, 16, 1, 8)), a)
    c = b.add("c", Conv2d(32, Window((1, 1))), r)
    d = b.add("d", Conv2d(8, Window((1, 1))), r)
    e = b.add("e", Conv2d(8, Window((1, 1))), c)
    graph = b.graph(b.add("z", Add(), d, e))
    after, _ = order_for_memory(graph)
    assert_same_integers(graph, check(after))
