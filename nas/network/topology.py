# SPDX-License-Identifier: Apache-2.0
"""A network without its weights: the list that every view of a found network is made from.

The torch module, the exact integer graph, the ONNX file and the costs all walk these layers, so
what is searched, trained, priced and exported cannot differ. Tensors are (1, H, W, channels); of a
series H is time and W the sensors. The last layer's output (1, 1, 1, classes) is the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Add, AveragePool2d, Conv2d, DepthwiseConv2d, Operator
from tinytailor.compiler.ops.window import Window

INPUT = "input"
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """A convolution with SAME padding (as TensorFlow pads), then ReLU where ``relu``.

    With ``norm`` it is trained with batch norm, else with a bias. A ``depthwise`` one has one
    filter a channel, and as many channels as it reads.
    """

    name: str
    source: str
    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    relu: bool = True
    norm: bool = True
    depthwise: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def operator(self, shape: Shape) -> Operator:
        padding = same_padding(shape, self.kernel, self.stride)
        if self.depthwise:
            return DepthwiseConv2d(Window(self.kernel, self.stride, padding))
        return Conv2d(self.channels, Window(self.kernel, self.stride, padding))


@dataclass(frozen=True, slots=True)
class AddLayer:
    """The sum of two tensors of one shape."""

    name: str
    left: str
    right: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.left, self.right)

    def operator(self, shape: Shape) -> Operator:
        return Add()


@dataclass(frozen=True, slots=True)
class PoolLayer:
    """The mean over the map: one value a channel, quantized as what it reads."""

    name: str
    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def operator(self, shape: Shape) -> Operator:
        return AveragePool2d(Window((shape[1], shape[2])), ties_even=shape[1] * shape[2] % 2 == 0)


Layer = ConvLayer | AddLayer | PoolLayer


@dataclass(frozen=True, slots=True)
class Topology:
    """``layers`` in execution order over ``input`` of shape (1, H, W, channels).

    The input of a network belongs to its caller; that of a part further on (``first`` is false) is
    a tensor in the arena.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    first: bool = True

    @property
    def convs(self) -> tuple[ConvLayer, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, ConvLayer))

    def shapes(self) -> dict[str, Shape]:
        """NHWC shape of every tensor by name."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for layer in self.layers:
            inputs = tuple(shapes[name] for name in layer.sources)
            shapes[layer.name] = layer.operator(inputs[0]).output_shape(*inputs)
        return shapes

    def operators(self) -> Iterator[tuple[Layer, Operator, tuple[Shape, ...]]]:
        """Each layer with its integer operator (neutral constants) and its input shapes."""
        shapes = self.shapes()
        for layer in self.layers:
            inputs = tuple(shapes[name] for name in layer.sources)
            yield layer, layer.operator(inputs[0]), inputs

    def keys(self, isa: str) -> tuple[OpKey, ...]:
        """The latency-table key of each layer, in execution order."""
        return tuple(make_key(op, shapes, isa) for _, op, shapes in self.operators())


def same_padding(shape: Shape, kernel: Pair, stride: Pair) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) for an output of ceil(size / stride); the odd pixel is last."""
    top, bottom = _same(shape[1], kernel[0], stride[0])
    left, right = _same(shape[2], kernel[1], stride[1])
    return top, left, bottom, right


def _same(size: int, kernel: int, stride: int) -> Pair:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
