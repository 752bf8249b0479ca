# SPDX-License-Identifier: Apache-2.0
"""Small integer graphs for the tests of the compiler."""

from __future__ import annotations

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import (
    Add,
    AveragePool2d,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Operator,
    Reshape,
    Softmax,
)
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant

RELU = Requant(zero_point=3, low=3)


class Builder:
    """Adds one node after another; constants are random by the number of the node."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.tensors = {"x": Tensor("x", shape, "int8", 0.05, -5)}
        self.nodes: list[Node] = []

    def add(self, name: str, op: Operator, *inputs: str) -> str:
        shapes = tuple(self.tensors[t].shape for t in inputs)
        self.tensors[name] = Tensor(name, op.output_shape(*shapes), "int8", 0.1, 3)
        constants = example_constants(op, shapes, len(self.nodes))
        self.nodes.append(Node(f"layer_{name}", op, inputs, name, constants))
        return name

    def graph(self, output: str) -> Graph:
        return check(Graph("test", ("x",), (output,), self.tensors, tuple(self.nodes)))


def residual_network() -> Graph:
    """Convolutions, a residual sum, depthwise, pooling, dense and softmax on a 13x9x3 map."""
    b = Builder((1, 13, 9, 3))
    one = Tensor("", (1,), "int8", 0.1, 3)
    two = Tensor("", (1,), "int8", 0.07, 3)
    three = Tensor("", (1,), "int8", 0.11, 3)
    same = (1, 1, 1, 1)
    a = b.add("a", Conv2d(16, Window((3, 3), padding=same), input_zero_point=-5, requant=RELU), "x")
    c = b.add("c", Conv2d(16, Window((3, 3), padding=same), input_zero_point=3, requant=RELU), a)
    d = b.add("d", Add.from_scales(one, two, three), a, c)
    e = b.add("e", DepthwiseConv2d(Window((3, 3), (2, 2), (0, 0, 1, 1), (1, 1)), 3, RELU), d)
    f = b.add("f", Conv2d(13, Window((1, 1)), requant=Requant(1, shift=1)), e)
    g = b.add("g", Conv2d(5, Window((3, 1), (2, 1), (1, 0, 1, 0)), requant=Requant(1)), f)
    _, h, w, channels = b.tensors[g].shape
    p = b.add("p", AveragePool2d(Window((h, w))), g)
    r = b.add("r", Reshape((1, channels)), p)
    s = b.add("s", Dense(7), r)
    return b.graph(b.add("z", Softmax(), s))
