# SPDX-License-Identifier: Apache-2.0
"""Convolutions over maps and series, plain, depthwise or in groups."""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused
from tinytailor.compiler.frontend.layout import map_order, map_shape
from tinytailor.compiler.frontend.onnx.windows import conv_pads
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.linear import Weights, in_flash, requantized, weights
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import as_map
from tinytailor.compiler.frontend.rules.window import window
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops import Conv2d, DepthwiseConv2d, GroupedConv2d
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.window import Window

STRIDES = ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor")


def convolution(call: Call, builder: GraphBuilder) -> Expression:
    """conv2d and conv1d, plain, depthwise or in groups; a series is a map of width 1."""
    x = activation(builder, call.arguments[0])
    constant = builder.constant(call.arguments[1], "weight")
    attributes = call.attributes
    layout, kernel_layout = str(attributes["data_layout"]), str(attributes["kernel_layout"])
    groups = int(attributes["groups"])
    source = as_map(builder, x, layout)
    channels = source.shape[3]
    letters = {letter: place for place, letter in enumerate(kernel_layout)}
    out_channels = call.shape[layout.index("C")]
    if groups < 1 or channels % groups or out_channels % groups:
        raise Declined(
            f"{groups} groups do not divide {channels} input and {out_channels} output channels"
        )
    axes = tuple(letters[letter] for letter in kernel_layout if letter in "HW")
    first, last = ("O", "I") if constant.shape[letters["O"]] == out_channels else ("I", "O")
    layer = weights(constant, (letters[first], *axes, letters[last]))
    if len(axes) == 1:
        layer = replace(layer, integers=layer.integers[:, :, None, :])
    sliding = window(attributes, len(axes), layer.kernel)

    def finish(fused: Fused) -> Finished:
        return convolved(builder, source, layer, groups, sliding, fused)

    device, order = map_shape(call.shape, layout), map_order(call.shape, layout)
    axis = layout.index("C")
    return Expression(call.shape, order, device, finish, bias_axis=axis, takes_gain=True)


def convolved(
    builder: GraphBuilder,
    source: Tensor,
    layer: Weights,
    groups: int,
    window: Window,
    fused: Fused,
) -> Finished:
    """The operator for weights (O, KH, KW, C / groups)."""
    layer = layer.times(fused.gain)
    requant, constants = requantized(source, layer, fused)
    channels, out_channels = source.shape[3], len(layer.integers)
    common = (window, source.zero_point, requant)
    weight = layer.integers
    op: Operator
    if groups == channels == out_channels and channels > 1:
        weight, op = weight[..., 0].transpose(1, 2, 0), DepthwiseConv2d(*common)
    elif groups > 1:
        op = GroupedConv2d(out_channels, groups, *common)
    else:
        op = Conv2d(out_channels, *common)
    op, stored = in_flash(builder, op, weight, layer.bits, fused, source.shape)
    return op, (source.name,), {"weight": stored, **constants}


RULES = Rules(
    calls={"relax.nn.conv1d": Rule(convolution), "relax.nn.conv2d": Rule(convolution)},
    onnx={"Conv": Onnx(conv_pads)},
    tflite={
        "CONV_2D": Tflite(options="Conv2DOptions", positive=STRIDES, weights=True),
        "DEPTHWISE_CONV_2D": Tflite(
            options="DepthwiseConv2DOptions", positive=STRIDES, weights=True
        ),
    },
)
