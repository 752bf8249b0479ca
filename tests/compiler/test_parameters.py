# SPDX-License-Identifier: Apache-2.0
"""The code of a layer is that of its key, whatever its scales, zero points and clamps are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.mcu.program import share_code
from tinytailor.compiler.opkey import example_constants, example_graph, make_key
from tinytailor.compiler.ops import (
    Add,
    AveragePool2d,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GroupedConv2d,
    MaxPool2d,
    Mul,
)
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant

pytestmark = [pytest.mark.tvm, pytest.mark.slow]

MAP = (1, 6, 5, 8)
SAME = (1, 1, 1, 1)
EXTREMES = (-128, -1, 0, 1, 127)
NAMES = ("conv", "conv and sum", "depthwise", "grouped", "dense", "sum", "product", "max", "mean")


def some(rng: np.random.Generator) -> int:
    """A number of int8, often one that instructions have a short form for."""
    return int(rng.choice(EXTREMES) if rng.random() < 0.5 else rng.integers(-128, 128))


def clamp(rng: np.random.Generator, clamped: bool) -> tuple[int, int]:
    if not clamped:
        return -128, 127
    low = some(rng)
    return (low, 127) if low > -128 else (low, int(rng.integers(-127, 127)))


def requant(rng: np.random.Generator, shifted: bool, clamped: bool) -> Requant:
    return Requant(some(rng), int(rng.integers(1, 9)) if shifted else 0, *clamp(rng, clamped))


def addition(rng: np.random.Generator, clamped: bool) -> Add:
    left, right = (int(rng.choice((1, 1 << 20, int(rng.integers(2, 1 << 21))))) for _ in "ab")
    bias, shift = int(rng.integers(-(1 << 28), 1 << 28)), int(rng.integers(5, 23))
    return Add(left, right, bias, shift, some(rng), *clamp(rng, clamped))


def operators(seed: int, shifted: bool, clamped: bool):
    """The operators of ``NAMES`` with quantization values by ``seed``, and their input shapes."""
    rng = np.random.default_rng(seed)

    def q() -> Requant:
        return requant(rng, shifted, clamped)

    conv = Conv2d(8, Window((3, 3), (1, 1), SAME), input_zero_point=some(rng), requant=q())
    window = DepthwiseConv2d(Window((3, 3), (1, 1), SAME), input_zero_point=some(rng), requant=q())
    groups = GroupedConv2d(
        8, 2, Window((3, 3), (1, 1), SAME), input_zero_point=some(rng), requant=q()
    )
    most = MaxPool2d(Window((2, 2), (2, 2)), *clamp(rng, clamped))
    mean = AveragePool2d(Window((3, 5), (3, 5)), input_zero_point=some(rng), requant=q())
    return (
        (conv, (MAP,)),
        (replace(conv, add=addition(rng, clamped)), (MAP, MAP)),
        (window, (MAP,)),
        (groups, (MAP,)),
        (Dense(6, q()), ((1, 40),)),
        (addition(rng, clamped), (MAP, MAP)),
        (Mul(some(rng), some(rng), int(rng.integers(1, 1 << 30)), q()), (MAP, MAP)),
        (most, (MAP,)),
        (mean, (MAP,)),
    )


def means(seed: int):
    """Averages without a change of scale, that round to even or away from zero."""
    rng = np.random.default_rng(seed)
    return [
        (AveragePool2d(Window((3, 5)), input_zero_point=some(rng), ties_even=even), (MAP,))
        for even in (False, True)
    ]


def kernel_of(op, shapes, isa):
    """The kernel of ``op`` in a graph of its own."""
    key = make_key(op, shapes, isa)
    graph = example_graph(key)
    constants = example_constants(op, shapes, seed=5)
    node = replace(graph.nodes[0], op=op, constants=constants)
    return key, lower_node(graph, node, isa, "layer")


def check_same_code(op, shapes, isa):
    key, kernel = kernel_of(op, shapes, isa)
    graph = example_graph(key)
    example = lower_node(graph, graph.nodes[0], isa, "layer")
    assert kernel.body == example.body
    assert kernel.helpers == example.helpers
    assert list(kernel.parameters) == list(example.parameters)
    assert kernel.scratch_bytes == example.scratch_bytes


@pytest.mark.parametrize("isa", ["base", "dsp", "mve"])
@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_quantization_values_are_not_in_the_code(index, isa):
    for seed in range(3):
        for shifted, clamped in ((False, False), (True, False), (False, True)):
            check_same_code(*operators(seed, shifted, clamped)[index], isa)


@pytest.mark.parametrize("isa", ["base", "dsp"])
def test_a_mean_has_one_code_for_even_and_odd_zero_points(isa):
    for seed in range(4):
        for op, shapes in means(seed):
            check_same_code(op, shapes, isa)


def test_layers_of_one_key_that_are_quantized_differently_have_equal_code_and_own_parameters():
    (one, shapes), *_ = operators(1, False, False)
    (two, _), *_ = operators(2, False, False)
    kernels = {name: kernel_of(op, shapes, "dsp")[1] for name, op in (("a", one), ("b", two))}
    shared = share_code("net", kernels, {"a": "conv2d", "b": "conv2d"})
    assert shared["a"].code == shared["b"].code == "net_conv2d_1"
    assert shared["a"].parameters != shared["b"].parameters
