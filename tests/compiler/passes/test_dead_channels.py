# SPDX-License-Identifier: Apache-2.0
"""Dead channels: planted ones go, the integers stay, what cannot go says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import assert_same_integers, reasons
from networks import Builder

from tinytailor.compiler.execute import execute_all
from tinytailor.compiler.ir import Graph, Shape, check
from tinytailor.compiler.narrow_weights import narrowed
from tinytailor.compiler.ops import (
    Add,
    AddConstant,
    Affine,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Extremum,
    Lookup,
    MaxPool2d,
    Mul,
    Operator,
    Pad,
    PRelu,
    Reshape,
    Slice,
    Softmax,
    Take,
    Transpose,
)
from tinytailor.compiler.ops.traits.ranges import Range
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.passes import optimize
from tinytailor.compiler.passes.dead_channels import remove_dead_channels
from tinytailor.compiler.passes.ranges import ranges
from tinytailor.compiler.requantization import Requant
from tinytailor.compiler.testing.examples import random_inputs

pytestmark = [pytest.mark.tvm]

SAME = (1, 1, 1, 1)
RELU = Requant(-5, low=-5)


def planted(graph: Graph, dead: dict[str, list[int]], role: str = "weight") -> Graph:
    """``graph`` with zeros in the weights (or multipliers) of output channels, by tensor."""
    nodes = []
    for node in graph.nodes:
        constants = dict(node.constants)
        if node.output in dead:
            array = constants[role].copy()
            if node.op.kind == "depthwise_conv2d":
                array[..., dead[node.output]] = 0
            else:
                array[dead[node.output]] = 0
            constants[role] = array
        nodes.append(replace(node, constants=constants))
    return check(replace(graph, nodes=tuple(nodes)))


def lively(graph: Graph) -> Graph:
    """``graph`` with scales so large and biases so small that no channel is constant by chance."""
    nodes = []
    for node in graph.nodes:
        constants = dict(node.constants)
        if "multiplier" in constants:
            constants["multiplier"] = np.full_like(constants["multiplier"], 1 << 28)
            constants["bias"] = np.zeros_like(constants["bias"])
        nodes.append(replace(node, constants=constants))
    return check(replace(graph, nodes=tuple(nodes)))


def channels(graph: Graph, tensor: str) -> int:
    return graph.tensors[tensor].shape[-1]


def mobile(second_border: int = -5) -> Graph:
    """Pointwise, depthwise with a border, table, pointwise, pool, dense."""
    b = Builder((1, 6, 5, 4))
    a = b.add("a", Conv2d(16, Window((1, 1)), requant=RELU), "x")
    d = b.add(
        "d", DepthwiseConv2d(Window((3, 3), padding=SAME), input_zero_point=-5, requant=RELU), a
    )
    t = b.add("t", Lookup(), d)
    c = b.add("c", Conv2d(8, Window((3, 3), padding=SAME), input_zero_point=second_border), t)
    p = b.add("p", AveragePool2d(Window((6, 5))), c)
    r = b.add("r", Reshape((1, 8)), p)
    return lively(b.graph(b.add("z", Dense(3), r)))


def test_planted_channels_go_through_everything_that_works_by_channel():
    b = Builder((1, 6, 5, 4))
    a = b.add("a", Conv2d(16, Window((1, 1))), "x")
    d = b.add("d", DepthwiseConv2d(Window((3, 3))), a)
    m = b.add("m", MaxPool2d(Window((2, 2))), d)
    t = b.add("t", Lookup(), m)
    f = b.add("f", Reshape((1, 6 * 16)), t)
    graph = planted(lively(b.graph(b.add("z", Dense(3), f))), {"a": [0, 3, 4, 15]})
    after, notes = remove_dead_channels(graph)
    check(after)
    assert [channels(after, n) for n in "admtf"] == [12] * 4 + [72]
    assert notes[0].text == "4 of 16 channels go, 4 of them constant, 0 never read"
    assert_same_integers(graph, after)


@pytest.mark.parametrize(
    "op",
    [
        PRelu((1, 1, 1, 16), 600_000, 20, 3),
        PRelu((1, 6, 1, 1), 600_000, 20, 3),
        Affine((1, 1, 1, 16)),
        AddConstant((), 600_000),
        AddConstant((1, 1, 1, 16), 600_000),
        Transpose((0, 2, 1, 3)),
        Take((1, 2), (3, 7)),
        Slice((0, 1, 0, 0), (1, 4, 5, 16)),
    ],
    ids=str,
)
def test_dead_channels_go_through_an_operator_that_works_channel_by_channel(op):
    b = Builder((1, 6, 5, 4))
    t = b.add("t", op, b.add("a", Conv2d(16, Window((1, 1))), "x"))
    graph = planted(lively(b.graph(b.add("z", Conv2d(4, Window((1, 1))), t))), {"a": [0, 3, 4, 15]})
    after, _ = remove_dead_channels(graph)
    assert [channels(check(after), n) for n in "at"] == [12, 12]
    assert_same_integers(graph, after)


def unread(graph: Graph, tensor: str, dead: list[int]) -> Graph:
    """``graph`` with zeros in the weights on these input channels, by output tensor."""
    nodes = []
    for node in graph.nodes:
        constants = dict(node.constants)
        if node.output == tensor:
            constants["weight"] = constants["weight"].copy()
            constants["weight"][..., dead] = 0
        nodes.append(replace(node, constants=constants))
    return check(replace(graph, nodes=tuple(nodes)))


@pytest.mark.parametrize("op", [Affine((1, 1, 5, 1)), AddConstant((1, 6, 1, 1), 600_000)], ids=str)
def test_channels_that_nobody_reads_go_where_constants_differ_by_place(op):
    b = Builder((1, 6, 5, 4))
    t = b.add("t", op, b.add("a", Conv2d(16, Window((1, 1))), "x"))
    graph = lively(b.graph(b.add("z", Conv2d(4, Window((1, 1))), t)))
    dead = planted(graph, {"a": [0, 3, 4, 15]})
    assert channels(remove_dead_channels(dead)[0], "a") == 16  # of another constant at each place
    graph = unread(graph, "z", [1, 2, 5, 9])
    after, _ = remove_dead_channels(graph)
    assert [channels(check(after), n) for n in "at"] == [12, 12]
    assert_same_integers(graph, after)


@pytest.mark.parametrize("op", [Extremum(True), Add(), Mul()], ids=lambda op: op.kind)
@pytest.mark.parametrize("order", [1, -1])
def test_dead_channels_go_where_one_number_is_repeated_for_all(op, order):
    """An attention over places has one channel, which stays."""
    b = Builder((1, 6, 5, 4))
    a = b.add("a", Conv2d(16, Window((1, 1))), "x")
    g = b.add("g", Conv2d(1, Window((1, 1))), "x")
    t = b.add("t", op, *(a, g)[::order])
    graph = lively(b.graph(b.add("z", Conv2d(4, Window((1, 1))), t)))
    graph = unread(graph, "z", [1, 2, 5, 9])
    after, notes = remove_dead_channels(graph)
    assert [channels(check(after), n) for n in "agt"] == [12, 1, 12]
    assert "4 never read" in notes[0].text
    assert_same_integers(graph, after)


@pytest.mark.parametrize("op", [Transpose((0, 3, 1, 2)), Take((3,), (16,))], ids=str)
def test_an_operator_that_moves_channels_needs_them_all(op):
    b = Builder((1, 6, 5, 4))
    t = b.add("t", op, b.add("a", Conv2d(16, Window((1, 1))), "x"))
    graph = planted(b.graph(b.add("z", Conv2d(4, Window((1, 1))), t)), {"a": [0, 1, 2, 3]})
    after, notes = remove_dead_channels(graph)
    assert channels(after, "a") == 16
    assert f"layer_t ({op.kind}) needs all its channels" in reasons(notes)["layer_a"]


def test_a_falling_negative_side_turns_at_the_zero_point():
    """Its least value is in the middle of its range, not at an end."""
    op = PRelu((1, 1, 1, 1), 1 << 20, 20, input_zero_point=10, zero_point=-50)
    constants = {"negative": np.full((1, 1, 1, 1), -(1 << 20), np.int32)}
    x = Range(np.array([-20]), np.array([30]))
    every = np.arange(-20, 31).astype(np.int8).reshape(1, -1, 1, 1)
    found = op.ranges((x,), ((1, 1, 1, 1),), constants)
    y = op.reference((every,), constants)
    assert (found.low[0], found.high[0]) == (y.min(), y.max()) == (-50, -20)


def test_a_channel_whose_multiplier_is_zero_is_constant_too():
    graph = planted(mobile(), {"c": [1, 2, 3, 5]}, "multiplier")
    after, _ = remove_dead_channels(graph)
    assert channels(check(after), "c") == channels(after, "r") == 4
    assert_same_integers(graph, after)


def test_a_channel_that_nobody_reads_goes_with_all_that_only_it_needs():
    graph = unread(mobile(), "c", [0, 1, 6, 7])
    after, notes = remove_dead_channels(graph)
    assert [channels(check(after), n) for n in "adt"] == [12] * 3
    assert "4 never read" in notes[0].text
    assert_same_integers(graph, after)


def test_a_relu_that_cuts_everything_off_makes_a_constant():
    graph = mobile()
    nodes = []
    for node in graph.nodes:
        constants = dict(node.constants)
        if node.output == "a":
            constants["bias"] = constants["bias"].copy()
            constants["bias"][:8] = -(1 << 24)
        nodes.append(replace(node, constants=constants))
    graph = check(replace(graph, nodes=tuple(nodes)))
    assert ranges(graph)["a"].constant.tolist() == [True] * 8 + [False] * 8
    assert_same_integers(graph, remove_dead_channels(graph)[0])


def test_the_number_of_channels_stays_a_multiple_of_four():
    graph = planted(mobile(), {"c": [2, 5, 6]})
    after, notes = remove_dead_channels(graph)
    assert channels(after, "c") == 8
    assert not any(note.changed for note in notes)
    graph = planted(mobile(), {"c": [1, 2, 5, 6, 7]})
    after, notes = remove_dead_channels(graph)
    assert channels(check(after), "c") == 4
    assert "1 more stay, for a multiple of 4" in notes[0].text
    assert_same_integers(graph, after)


def test_a_layer_of_constants_only_keeps_some():
    graph = planted(mobile(), {"c": list(range(8))})
    after, _ = remove_dead_channels(graph)
    assert channels(check(after), "c") == 4
    assert_same_integers(graph, after)


def test_a_border_of_another_value_keeps_a_constant_channel():
    graph = planted(mobile(second_border=77), {"d": [0, 1, 2, 3]})
    after, notes = remove_dead_channels(graph)
    assert channels(after, "d") == 16
    assert_same_integers(graph, after)
    b = Builder((1, 6, 5, 4))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    graph = b.graph(b.add("z", Conv2d(4, Window((3, 3), padding=SAME), input_zero_point=99), a))
    graph = planted(graph, {"a": [0, 1, 2, 3]})
    after, notes = remove_dead_channels(graph)
    assert "the border of layer_z reads another value" in reasons(notes)["layer_a"]
    assert channels(after, "a") == 8


def test_channels_of_sums_go_where_both_sides_are_dead():
    b = Builder((1, 6, 5, 4))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    c = b.add("c", Conv2d(8, Window((1, 1))), "x")
    s = b.add("s", Add(), a, c)
    graph = lively(b.graph(b.add("z", Conv2d(4, Window((1, 1))), s)))
    one = planted(graph, {"a": [0, 1, 2, 3], "c": [2, 3, 4, 5]})
    after, _ = remove_dead_channels(one)
    assert channels(after, "s") == 8
    assert_same_integers(one, after)
    both = planted(graph, {"a": [0, 1, 2, 3], "c": [0, 1, 2, 3, 4]})
    after, _ = remove_dead_channels(both)
    assert channels(check(after), "s") == channels(after, "a") == channels(after, "c") == 4
    assert_same_integers(both, after)


def test_outputs_keep_their_channels():
    b = Builder((1, 6, 5, 4))
    graph = planted(b.graph(b.add("z", Conv2d(8, Window((1, 1))), "x")), {"z": [0, 1, 2, 3]})
    after, notes = remove_dead_channels(graph)
    assert channels(after, "z") == 8
    assert "output of the graph" in reasons(notes)["layer_z"]


def random_layer(rng: np.random.Generator, shape: Shape) -> tuple[Operator, int]:
    """An operator for a map of this shape; of 1 input, 2 of that shape, or 3: another of that size.

    Its zero point and its clamp are drawn, too.
    """
    _, h, w, c = shape
    zero, each = int(rng.choice([-5, 3])), (1, 1, 1, c)
    requant = Requant(zero, low=zero) if rng.random() < 0.6 else Requant(zero)
    border = SAME if h >= 3 and rng.random() < 0.5 else (0, 0, 0, 0)
    window = Window((3, 3) if border != (0, 0, 0, 0) else (1, 1), padding=border)
    return {
        0: (Conv2d(int(rng.integers(1, 13)), window, zero, requant), 1),
        1: (Conv2d(int(rng.integers(1, 4)) * 4, Window((1, 1)), requant=requant), 1),
        2: (DepthwiseConv2d(window, zero, requant), 1),
        3: (Add.from_key({}), 2),
        4: (Mul.from_key({"shifted": False}), 2),
        5: (Lookup(), 1),
        6: (MaxPool2d(Window((2, 2), padding=(1, 0, 0, 1))), 1),
        7: (AveragePool2d(Window((2, 2), padding=(1, 1, 0, 0))), 1),
        8: (Concat(3), 3),
        9: (Pad((1, 0, 0), (0, 1, 0), zero), 1),
        10: (Slice((0, 0, 0, 0), (1, h, max(1, w - 1), c)), 1),
        11: (Conv2d(8, Window((1, 1)), requant=requant), 1),
        12: (PRelu(each, 600_000, 20, 3), 1),
        13: (Affine(each if rng.random() < 0.5 else (1, h, 1, 1)), 1),
        14: (Extremum(bool(rng.integers(2))), 2),
        15: (AddConstant(each if rng.random() < 0.5 else (), 600_000), 1),
        16: (Transpose((0, 2, 1, 3)), 1),
        17: (Take((1,), (h + 1,)), 1),
    }[int(rng.integers(18))]


def random_network(seed: int) -> Graph:
    """Random layers with random channels dead in one way or another."""
    rng = np.random.default_rng(seed)
    b = Builder((1, 6, 6, int(rng.integers(1, 6))))
    names = ["x"]
    for i in range(int(rng.integers(4, 12))):
        name = names[int(rng.integers(max(0, len(names) - 3), len(names)))]
        shape = b.tensors[name].shape
        equal = [t for t in names if b.tensors[t].shape == shape]
        alike = [t for t in names if b.tensors[t].shape[:3] == shape[:3]]
        other = equal[int(rng.integers(len(equal)))]
        near = alike[int(rng.integers(len(alike)))]
        op, inputs = random_layer(rng, shape)
        operands = {1: (name,), 2: (name, other), 3: (name, near)}[inputs]
        names.append(b.add(f"t{i}", op, *operands))
    _, h, w, c = b.tensors[names[-1]].shape
    f = b.add("f", Reshape((1, h * w * c)), names[-1])
    s = b.add("s", Dense(5), f)
    graph = b.graph(b.add("z", Softmax(), s))
    dead = {}
    for node in graph.nodes:
        if "multiplier" in node.constants and node.output != "s" and node.op.kind != "mul":
            count = len(node.constants["bias"])
            dead[node.output] = np.flatnonzero(rng.random(count) < 0.5).tolist()
    return planted(graph, dead, "weight" if seed % 3 else "multiplier")


@pytest.mark.parametrize("block", range(10))
def test_random_networks_compute_the_same_integers_without_their_dead_channels(block):
    for seed in range(block * 20, block * 20 + 20):
        graph = random_network(seed)
        after, _ = remove_dead_channels(graph)
        assert_same_integers(graph, check(after), seed)
        whole, _ = optimize(graph)
        assert_same_integers(graph, whole, seed)


def test_random_networks_lose_channels_in_most_cases():
    smaller = sum(
        remove_dead_channels(graph)[0].macs < graph.macs for graph in map(random_network, range(60))
    )
    assert smaller > 30


def test_values_lie_in_the_range_of_their_channel():
    for seed in range(60):
        graph = random_network(seed)
        values = execute_all(
            graph, dict(zip(graph.inputs, random_inputs(graph, 4, 0), strict=True))
        )
        for name, found in ranges(graph).items():
            spread = values[name].reshape(-1, values[name].shape[-1])
            assert (spread >= found.low).all(), name
            assert (spread <= found.high).all(), name


def test_weights_of_few_bits_are_left_as_they_are():
    graph = planted(mobile(), {"c": [1, 2, 3, 5], "a": [0, 1, 2, 3]})
    nodes = []
    for node in graph.nodes:
        constants = dict(node.constants)
        if "weight" in constants:
            constants["weight"] = np.clip(constants["weight"], -7, 7)
        nodes.append(replace(node, constants=constants))
    graph = narrowed(replace(graph, nodes=tuple(nodes)))
    assert {node.op.weight_bits for node in graph.nodes if "weight" in node.constants} == {4}
    after, notes = remove_dead_channels(graph)
    assert_same_integers(graph, check(after))
    assert not any(note.changed for note in notes)
