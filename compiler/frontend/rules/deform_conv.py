# SPDX-License-Identifier: Apache-2.0
"""ONNX DeformConv (opset 19 and later) with whole-pixel offsets: see ops/deform_conv2d.py.

It samples its map bilinearly, which is no sum of integers; at whole pixels sampling is reading. So
it is accepted where every offset is a whole number: Round stands between DequantizeLinear and the
offset input, or the scale of the offsets is a whole number, usually 1. The mask must be absent or a
constant of ones. TVM does not import it; it reaches the builder as one opaque call on x, weight,
offset, the settings as integers, and the bias and mask where the node has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    Pointwise,
)
from tinytailor.compiler.frontend.layout import map_order, map_shape
from tinytailor.compiler.frontend.relax_calls import Call, own_call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.linear import in_flash, requantized, weights
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules
from tinytailor.compiler.frontend.rules.transpose import as_map
from tinytailor.compiler.ops import DeformConv2d
from tinytailor.compiler.ops.deform_conv2d import MAX_PIXELS
from tinytailor.compiler.ops.window import Padding, Pair, Window
from tinytailor.targets.errors import InputError

NAME = "DeformConv"
LAYOUT = "NCHW"


@dataclass(frozen=True, slots=True)
class Settings:
    """The attributes of a node; ``bias`` and ``mask``: whether it has these inputs."""

    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    offset_groups: int
    bias: bool
    mask: bool

    @classmethod
    def of_node(cls, inputs: Any, attributes: Mapping[str, Any]) -> Settings:
        given = [item is not None for item in inputs] + [False, False]
        ranks = [len(item.ty.shape) for item in inputs[:3]]
        if ranks != [4, 4, 4]:
            raise ValueError(f"its inputs have {ranks} axes, expected 4 each")
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        (sh, sw), (dh, dw) = (attributes.get(n, (1, 1)) for n in ("strides", "dilations"))
        groups = [int(attributes.get(name, 1)) for name in ("group", "offset_group")]
        if min(groups) < 1:
            raise ValueError(f"its groups are {groups}")
        padding = (int(top), int(left), int(bottom), int(right))
        return cls((sh, sw), padding, (dh, dw), groups[0], groups[1], given[3], given[4])

    def window(self, kernel: Pair) -> Window:
        return Window(kernel, self.stride, self.padding, self.dilation)

    def numbers(self) -> np.ndarray:
        last = (self.groups, self.offset_groups, self.bias, self.mask)
        return np.array([*self.stride, *self.padding, *self.dilation, *last], np.int64)

    @classmethod
    def of_numbers(cls, array: np.ndarray) -> Settings:
        sh, sw, top, left, bottom, right, dh, dw, groups, offsets, *flags = map(int, array)
        bias, mask = map(bool, flags)
        return cls((sh, sw), (top, left, bottom, right), (dh, dw), groups, offsets, bias, mask)


def opaque(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """The call that stands for a node in Relax."""
    from tvm import relax

    settings = Settings.of_node(inputs, attributes)
    x, weight = (shape_of(item) for item in inputs[:2])
    try:
        size = settings.window((weight[2], weight[3])).output_size(NAME, (1, *x[2:], x[1]))
    except InputError as error:
        raise ValueError(str(error)) from None
    x_, w_, offset, *more = (item for item in inputs if item is not None)
    numbers = relax.const(settings.numbers(), "int64")
    result = relax.TensorType(shape=(1, weight[0], *size), dtype="float32")
    return [own_call(NAME, [x_, w_, offset, numbers, *more], result)]


def deform_conv(call: Call, builder: GraphBuilder) -> Expression:
    x_argument, weight, offset, numbers, *more = call.arguments
    settings = Settings.of_numbers(builder.constant(numbers, "settings").array)
    x = activation(builder, x_argument)
    bias = builder.constant(more[0], "bias") if settings.bias else None
    if bias is not None and bias.shape != call.shape[1:2]:
        raise Declined(f"a bias of shape {bias.shape}, expected {call.shape[1:2]}")
    if settings.mask and not np.all(builder.constant(more[-1], "mask").real == 1):
        raise Declined("its mask has other values than 1, which have no integer form; leave it out")
    moves, pixels = whole_pixels(builder, offset)
    source, places = as_map(builder, x, LAYOUT), as_map(builder, moves, LAYOUT)
    layer = weights(builder.constant(weight, "weight"), (0, 2, 3, 1))
    groups = (settings.groups, settings.offset_groups)
    window = settings.window(layer.kernel)
    plain = DeformConv2d(call.shape[1], window, *groups, source.zero_point)
    try:
        plain.output_shape(source.shape, places.shape)
    except InputError as error:
        raise Declined(str(error)) from None

    def finish(fused: Fused) -> Finished:
        requant, constants = requantized(source, layer, replace(fused, bias=bias))
        op = replace(plain, requant=requant)
        shapes = (source.shape, places.shape)
        used, stored = in_flash(builder, op, layer.integers, layer.bits, fused, *shapes)
        arrays = {"weight": stored, "pixels": pixels, **constants}
        return used, (source.name, places.name), arrays

    device = map_shape(call.shape, LAYOUT)
    return Expression(call.shape, map_order(call.shape, LAYOUT), device, finish)


def whole_pixels(builder: GraphBuilder, argument: Any) -> tuple[Activation, np.ndarray]:
    """The quantized offsets, and the pixels that their 256 integers stand for."""
    value = builder.argument(argument)
    if isinstance(value, Constant):
        raise Declined("its offsets are constant: it is an ordinary convolution of moved pixels")
    if not isinstance(value, Pointwise):
        value = lookup.of_activation(builder, activation(builder, argument))
    if not np.array_equal(value.real, np.rint(value.real)):
        raise Declined(
            "its offsets are fractions of pixels, and sampling between pixels has no integer form; "
            "put Round between DequantizeLinear and its offset input, or quantize the offsets with "
            "scale 1"
        )
    pixels = np.clip(value.real, -MAX_PIXELS, MAX_PIXELS).astype(np.int16)
    return Activation(value.tensor, value.shape, value.order, True), pixels


RULES = Rules(calls={NAME: Rule(deform_conv)}, onnx={NAME: Onnx(opaque)})
