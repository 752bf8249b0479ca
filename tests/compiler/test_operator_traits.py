# SPDX-License-Identifier: Apache-2.0
"""Which operators say what about themselves, and what their kit does not draw at random."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from networks import Builder

from tinytailor.compiler.ir import Graph, Tensor, check
from tinytailor.compiler.ops import OPERATORS, Add, Conv2d, Dense, Mul
from tinytailor.compiler.ops.traits.channels import Mixed
from tinytailor.compiler.ops.traits.neighbours import Bordered, View
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant
from tinytailor.compiler.testing.examples import Example, every_example
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

EXAMPLES = every_example()
TABLES = ("channel_lookup", "lookup")
SUMMED = ("add", "add_constant", "add_n", "affine", "mul", "prelu", "squared_difference")
ELEMENTWISE = (*TABLES, *SUMMED, "extremum")
BY_CHANNEL = ("average_pool2d", "depthwise_conv2d", "max_pool2d", "take", "transpose")
INT32 = 2**31 - 1


def said(example: Example) -> set[str]:
    """Which of its traits are not the default."""
    node = example.graph("base").nodes[0]
    channels = node.op.channels(example.shapes, node.constants)
    told = {
        "mixed": isinstance(channels, Mixed),
        "linked": isinstance(channels, tuple),
        "view": isinstance(node.op.view(*example.shapes), View),
        "clamp": node.op.clamp() is not None,
        "border": isinstance(node.op.bordered((1, 1, 1, 1)), Bordered),
        "sums": node.op.accumulators(example.shapes, node.constants) is not None,
    }
    return {name for name, found in told.items() if found}


def kinds(trait: str) -> set[str]:
    return {example.op.kind for example in EXAMPLES if trait in said(example)}


def test_operators_of_all_kinds_say_each_of_these_things():
    assert kinds("mixed") == {"conv2d", "dense"}
    moving = {"concat", "pad", "reshape", "resize_linear", "slice"}
    assert kinds("linked") == {*ELEMENTWISE, *BY_CHANNEL, *moving, "compand"}
    assert kinds("view") == {"concat", "reshape", "slice"}
    assert kinds("border") == {"conv2d", "depthwise_conv2d", "grouped_conv2d", "max_pool2d"}
    convolutions = {kind for kind in OPERATORS if "conv" in kind} | {"dense", "square_deform_dw"}
    sums = {*convolutions, *SUMMED, "average_pool2d", "resize_linear"}
    assert kinds("sums") == sums | {"compand"}
    normalizations = {"l2_normalize", "layer_normalize"}
    assert kinds("clamp") == sums | normalizations | {"extremum", "max_pool2d"}


def with_types(graph: Graph, *types: str) -> Graph:
    tensors = {
        n: replace(graph.tensors[n], dtype=t) for n, t in zip(("x0", "y"), types, strict=True)
    }
    return replace(graph, tensors=tensors)


def test_types_that_an_operator_has_not_are_named():
    graph = next(e for e in EXAMPLES if e.op.kind == "arg_max").graph("base")
    with pytest.raises(InputError, match="reads int8 and writes int8, expected int8 and int32"):
        check(with_types(graph, "int8", "int8"))


def test_what_moves_any_type_moves_one_type_only():
    graph = next(e for e in EXAMPLES if e.op.kind == "reshape").graph("base")
    check(with_types(graph, "int32", "int32"))
    with pytest.raises(InputError, match="reads int32 and writes int8, expected int32 and int32"):
        check(with_types(graph, "int32", "int8"))


# Sums in 32 bits


def every_input(count: int) -> np.ndarray:
    """All rows of the ends of int8, which hold the extremes of a weighted sum."""
    return np.array(list(product((-128, 127), repeat=count)))


@pytest.mark.parametrize("shift", [0, 3])
def test_the_reach_of_a_sum_is_exact(shift):
    rng = np.random.default_rng(shift)
    weight = rng.integers(-128, 128, (5, 4)).astype(np.int8)
    bias = rng.integers(-3000, 3000, 5).astype(np.int32)
    terms = every_input(4) @ weight.astype(np.int64).T
    total = (terms + bias) << shift
    constants = {"weight": weight, "bias": bias, "multiplier": np.ones(5, np.int32)}
    reached = Dense(5, Requant(shift=shift)).accumulators(((1, 4),), constants)
    np.testing.assert_array_equal(reached.low, np.minimum(terms.min(axis=0), total.min(axis=0)))
    np.testing.assert_array_equal(reached.high, np.maximum(terms.max(axis=0), total.max(axis=0)))


def test_the_reach_of_a_product_and_of_an_addition_is_exact():
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    op = Mul(-128, 7, requant=Requant(shift=2))
    product_of = (a + 128) * (b - 7) << 2
    reached = op.accumulators(((1, 1),) * 2, {})
    assert (reached.low[0], reached.high[0]) == (product_of.min(), product_of.max())
    op = Add(601_295, -873_813, 77_777, 20, -9)
    sum_of = a * op.left + b * op.right + op.offset
    reached = op.accumulators(((1, 1),) * 2, {})
    assert (reached.low[0], reached.high[0]) == (sum_of.min(), sum_of.max())


def dense_graph(bias: int, shift: int = 0) -> Graph:
    """Three channels that sum 127 at most each; the second has this bias."""
    b = Builder((1, 1))
    graph = b.graph(b.add("y", Dense(3, Requant(shift=shift)), "x"))
    arrays = {
        "weight": np.ones((3, 1), np.int8),
        "bias": np.array([0, bias, 0], np.int32),
        "multiplier": np.ones(3, np.int32),
    }
    return replace(graph, nodes=(replace(graph.nodes[0], constants=arrays),))


@pytest.mark.parametrize(
    ("bias", "shift"),
    [
        (INT32 - 127, 0),
        (128 - INT32 - 1, 0),
        ((INT32 >> 4) - 127, 4),
        (128 - ((INT32 + 1) >> 4), 4),
    ],
)
def test_sums_that_just_fit_are_taken_and_the_next_ones_refused(bias, shift):
    check(dense_graph(bias, shift))
    beyond = dense_graph(bias + int(np.sign(bias)), shift)
    with pytest.raises(InputError, match=r"node layer_y: the accumulator of channel 1 can reach "):
        check(beyond)


def test_a_sum_that_leaves_32_bits_before_its_bias_brings_it_back_is_refused():
    op, depth = Conv2d(1, Window((1, 1))), 140_000
    constants = {
        "weight": np.full((1, 1, 1, depth), 127, np.int8),
        "bias": np.full(1, -(1 << 30), np.int32),
        "multiplier": np.ones(1, np.int32),
    }
    reached = op.accumulators(((1, 1, 1, depth),), constants)
    assert reached.high[0] == 127 * 127 * depth > INT32


@pytest.mark.parametrize("kind", sorted({e.op.kind for e in EXAMPLES if "sums" in said(e)}))
def test_sums_of_every_operator_are_looked_at(kind):
    """With factors or biases that no model has."""
    example = next(e for e in EXAMPLES if e.op.kind == kind and "sums" in said(e))
    graph = example.graph("base")
    node = graph.nodes[0]
    huge = {
        role: np.full_like(array, INT32) if role in ("bias", "base", "left", "negative") else array
        for role, array in node.constants.items()
    }
    op = node.op
    if kind in ("add", "squared_difference"):
        op = replace(op, left=INT32)
    elif kind == "add_n":
        op = replace(op, factors=(INT32, *op.factors[1:]))
    elif kind == "mul":
        op = replace(op, requant=Requant(shift=16))
    elif kind == "resize_linear":
        op = replace(op, bias=INT32)
    elif kind == "average_pool2d":
        op = replace(op, requant=Requant(shift=30))
    broken = replace(graph, nodes=(replace(node, op=op, constants=huge),))
    with pytest.raises(InputError, match=f"node {kind}: the accumulator of channel"):
        check(broken)


# Additions at the end of a convolution


@pytest.mark.parametrize("side", [0, 1])
def test_an_addition_at_the_end_computes_both(side):
    rng = np.random.default_rng(side)
    b = Builder((1, 5, 4, 3))
    graph = b.graph(b.add("y", Conv2d(6, Window((3, 3), padding=(1, 1, 1, 1))), "x"))
    node = graph.nodes[0]
    one, two, three = (Tensor("", (1,), "int8", s, z) for s, z in ((0.1, 3), (0.05, -7), (0.12, 1)))
    add = Add.from_scales(one, two, three, sign=-1)
    x, r = (rng.integers(-128, 128, (4, 5, 4, c)).astype(np.int8) for c in (3, 6))
    y = node.op.reference((x,), node.constants)
    fused = node.op.ended_by(add.epilogue(side))
    expected = add.reference((y, r) if side == 0 else (r, y), {})
    np.testing.assert_array_equal(fused.reference((x, r), node.constants), expected)
    assert fused.ended_by(add) is None
    assert [kind for kind, op in OPERATORS.items() if op.takes_epilogue] == ["conv2d"]
