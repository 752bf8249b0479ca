# SPDX-License-Identifier: Apache-2.0
"""Transposed convolutions. With a stride of one they are ordinary ones with the kernel turned:

    y[h] = sum_i x[h + p - i*d] w[i] = sum_i x[h + i*d - (d*(k - 1) - p)] w[k - 1 - i]

as long as the padding d*(k - 1) - p is not negative. A dilated kernel is written out with zeros
between its taps where that form does not fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS, GraphBuilder
from tinytailor.compiler.frontend.imported_values import Constant, Expression, Finished, Fused
from tinytailor.compiler.frontend.layout import map_order, map_shape
from tinytailor.compiler.frontend.onnx.windows import transposed_conv_pads
from tinytailor.compiler.frontend.relax_calls import Call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.convolution import convolved
from tinytailor.compiler.frontend.rules.linear import Weights, in_flash, requantized, weights
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import as_map
from tinytailor.compiler.frontend.rules.window import window
from tinytailor.compiler.frontend.tflite.arguments import tensor_shape
from tinytailor.compiler.ops import ConvTranspose2d
from tinytailor.compiler.ops.window import ONES, Padding, Window


def transposed_convolution(call: Call, builder: GraphBuilder) -> Expression:
    """conv2d_transpose and conv1d_transpose; weights are (in, out of a group, height, width)."""
    x = activation(builder, call.arguments[0])
    constant = builder.constant(call.arguments[1], "weight")
    attributes = call.attributes
    layout, kernel_layout = str(attributes["data_layout"]), str(attributes["kernel_layout"])
    if kernel_layout not in ("IOHW", "IOW"):
        raise Declined(f"a kernel of layout {kernel_layout}, expected IOHW or IOW")
    source = as_map(builder, x, layout)
    groups, out_channels = int(attributes["groups"]), call.shape[layout.index("C")]
    if groups < 1 or source.shape[3] % groups or out_channels % groups:
        raise Declined(
            f"{groups} groups do not divide {source.shape[3]} input and {out_channels} output "
            "channels"
        )
    layer = output_first(constant.each(lambda a: a[..., None] if a.ndim == 3 else a), groups)
    device = map_shape(call.shape, layout)
    given = window(attributes, len(kernel_layout) - 2, layer.kernel)
    turned = fitting(given, source.shape[1:3], device[1:3])
    around = ordinary_padding(turned)

    def finish(fused: Fused) -> Finished:
        if turned.stride == ONES and min(around) >= 0:
            backwards = replace(layer, integers=layer.integers[:, ::-1, ::-1])
            sliding = replace(turned, padding=around)
            return convolved(builder, source, backwards, groups, sliding, fused)
        spread = replace(layer, integers=with_gaps(layer.integers, turned)).times(fused.gain)
        requant, constants = requantized(source, spread, fused)
        whole = replace(turned, kernel=spread.kernel, dilation=ONES)
        op = ConvTranspose2d(out_channels, whole, groups, source.zero_point, requant)
        weight = spread.integers
        used, stored = in_flash(builder, op, weight, spread.bits, fused, source.shape)
        return used, (source.name,), {"weight": stored, **constants}

    order, axis = map_order(call.shape, layout), layout.index("C")
    return Expression(call.shape, order, device, finish, bias_axis=axis, takes_gain=True)


def output_first(constant: Constant, groups: int) -> Weights:
    """(C, O / groups, KH, KW) to weights of (O, KH, KW, C / groups)."""
    channels, outputs, *kernel = constant.shape

    def turned(array: np.ndarray) -> np.ndarray:
        parts = array.reshape(groups, channels // groups, outputs, *kernel)
        rows = parts.transpose(0, 2, 3, 4, 1)
        return rows.reshape(groups * outputs, *kernel, channels // groups)

    return weights(constant.each(turned), (0, 1, 2, 3))


def fitting(window: Window, size: tuple[int, ...], output: tuple[int, ...]) -> Window:
    """Padded on the right and below for this output: output_padding included."""
    bottom, right = (
        (size[axis] - 1) * window.stride[axis]
        + window.span[axis]
        - window.padding[axis]
        - output[axis]
        for axis in (0, 1)
    )
    return replace(window, padding=(*window.padding[:2], bottom, right))


def ordinary_padding(window: Window) -> Padding:
    """What an ordinary convolution with the turned kernel would be padded with."""
    (rows, columns), (top, left, bottom, right) = window.span, window.padding
    return rows - 1 - top, columns - 1 - left, rows - 1 - bottom, columns - 1 - right


def with_gaps(weight: np.ndarray, window: Window) -> np.ndarray:
    """(O, KH, KW, C) with dilation - 1 zeros between the taps."""
    outputs, _, _, channels = weight.shape
    (tall, wide), (down, right) = window.span, window.dilation
    if tall * wide * outputs * channels > MAX_ELEMENTS:
        raise Declined(f"its kernel reaches over {tall} x {wide} pixels, which fits no device")
    spread = np.zeros((outputs, tall, wide, channels), weight.dtype)
    spread[:, ::down, ::right] = weight
    return spread


def transpose_conv(converter: Any, operator: Any) -> Any:
    """TFLite's form. The size of its output is an input, which TVM computes itself."""
    result = converter.convert_map["TRANSPOSE_CONV"](op=operator)
    size = shape_of(converter.bb.normalize(result))
    expected = tensor_shape(converter.subgraph.Tensors(operator.Outputs(0)))
    if size != expected:
        raise ValueError(f"its output has shape {expected}, expected {size}")
    return result


RULES = Rules(
    calls={
        "relax.nn.conv1d_transpose": Rule(transposed_convolution),
        "relax.nn.conv2d_transpose": Rule(transposed_convolution),
    },
    onnx={"ConvTranspose": Onnx(transposed_conv_pads)},
    tflite={
        "TRANSPOSE_CONV": Tflite(
            transpose_conv, options="TransposeConvOptions", positive=("StrideH", "StrideW")
        )
    },
)
