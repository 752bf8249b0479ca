# SPDX-License-Identifier: Apache-2.0
"""Averages and maxima over windows of a map.

An average whose output is quantized like its input is AveragePool2d. With another output scale, or
where the border counts, it is a depthwise convolution with ones, s_w = 1 / window: the same mean
with a single rounding. If the border does not count, AveragePool2d has a multiplier per count.
A maximum is taken first and changes its scale afterwards, by a table.

ceil_mode adds a last window that is cut off: the map is padded on, right and below, to hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Value,
)
from tinytailor.compiler.frontend.layout import map_order, map_shape
from tinytailor.compiler.frontend.onnx.windows import pooling_pads
from tinytailor.compiler.frontend.quantization import quantization_of, same_quantization
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.linear import Weights, requantized
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import as_map
from tinytailor.compiler.frontend.rules.window import window
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops import AveragePool2d, DepthwiseConv2d, Lookup, MaxPool2d
from tinytailor.compiler.ops.window import ONES, Pair, Window

MAX_WINDOW = 1 << 20  # pixels under a window; a damaged file may ask for more than memory holds


@dataclass(frozen=True, slots=True, eq=False)
class Pooling:
    """A pooling call: its input as a map, its windows and the shapes of its result.

    ``cut``: how much of the padding on the right and below only holds windows that are cut off.
    """

    x: Activation
    source: Tensor
    window: Window
    cut: Pair
    placed: Expression


def average_pool(call: Call, builder: GraphBuilder) -> Value:
    windows = pooling(call, builder)
    counted = bool(call.attributes["count_include_pad"]) and windows.window.bordered
    if counted and any(windows.cut):
        raise Declined(
            "average pooling that counts its padding, with a last window that is cut off"
        )
    return pooled(call, builder, windows, averaged(windows, counted, even_integers=True))


def max_pool(call: Call, builder: GraphBuilder) -> Value:
    windows = pooling(call, builder)
    return pooled(call, builder, windows, highest(call, builder, windows))


def pooling(call: Call, builder: GraphBuilder) -> Pooling:
    x = activation(builder, call.arguments[0])
    attributes = call.attributes
    layout = str(attributes["layout"])
    size = list(attributes["pool_size"])
    kernel = (int(size[0]), int(size[1]) if len(size) > 1 else 1)
    sliding = window(attributes, len(layout) - 2, kernel)
    source = as_map(builder, x, layout)
    if sliding.taps > MAX_WINDOW:
        raise Declined(f"a window of {kernel[0]} x {kernel[1]} pixels, which fits no device")
    device = map_shape(call.shape, layout)
    cut = [0, 0]
    for axis in (0, 1):
        # where its last window starts
        last = (device[1 + axis] - 1) * sliding.stride[axis] - sliding.padding[axis]
        if last >= source.shape[1 + axis]:
            raise Declined("pooling whose last window lies outside the map (ceil_mode)")
        end = last + sliding.span[axis]
        cut[axis] = max(0, end - source.shape[1 + axis] - sliding.padding[2 + axis])
    placed = Expression(call.shape, map_order(call.shape, layout), device, no_finish)
    whole = sliding.padded((0, 0, cut[0], cut[1]))
    return Pooling(x, source, whole, (cut[0], cut[1]), placed)


def pooled(call: Call, builder: GraphBuilder, windows: Pooling, value: Expression) -> Value:
    """A pooling of integers, as TFLite has it, is complete; one of reals waits for its scale."""
    if windows.x.real:
        return value
    return builder.emit_like(windows.source, value, windows.x.offset, call.origin)


def same(source: Tensor, y: Tensor) -> bool:
    return same_quantization(quantization_of(source), quantization_of(y))


def no_finish(fused: Fused) -> Finished:
    raise AssertionError("an expression without an operator")


def highest(call: Call, builder: GraphBuilder, windows: Pooling) -> Expression:
    """The maximum; a Lookup behind it where the output has another scale."""
    source = windows.source

    def finish(fused: Fused) -> Finished:
        if same(source, fused.y):
            pool = MaxPool2d(windows.window, fused.low, fused.high)
            return pool, (source.name,), {}
        pool = MaxPool2d(windows.window)
        shape = windows.placed.device
        top = replace(source, name=builder.new_name(call.origin), shape=shape)
        builder.append(pool, (source.name,), top)
        real = lookup.of_activation(builder, windows.x).real
        table = lookup.table(real, *quantization_of(fused.y))
        return (
            Lookup(),
            (top.name,),
            {"table": np.clip(table, fused.low, fused.high).astype(np.int8)},
        )

    return replace(windows.placed, finish=finish, kept=quantization_of(source))


def averaged(windows: Pooling, counted: bool, even_integers: bool = False) -> Expression:
    """``counted``: whether the border counts as zeros. ``even_integers``: exact halves become even
    integers, as onnxruntime's AveragePool has it; its GlobalAveragePool, and what the standard
    says, are even multiples of the scale. TFLite's integer pooling rounds them away from zero."""
    source, window = windows.source, windows.window
    dilated = window.dilation != ONES
    if dilated and window.bordered and not counted:
        raise Declined("average pooling with dilation whose padding does not count")

    def finish(fused: Fused) -> Finished:
        if counted or dilated:
            return ones_convolution(windows, fused)
        pool = AveragePool2d(window, fused.low, fused.high)
        if same(source, fused.y):
            if windows.x.real and (window.bordered or window.taps % 2 == 0):
                even = 0 if even_integers else source.zero_point
                pool = replace(pool, input_zero_point=even, ties_even=True)
            return pool, (source.name,), {}
        if not window.bordered:
            return ones_convolution(windows, fused)
        counts = np.arange(1, window.taps + 1, dtype=np.float32)
        ones = Weights(np.ones((len(counts), 1), np.int64), 1 / counts)
        requant, constants = requantized(source, ones, fused)
        pool = replace(pool, input_zero_point=source.zero_point, requant=requant)
        return pool, (source.name,), {"multiplier": constants["multiplier"]}

    return replace(windows.placed, finish=finish)


def ones_convolution(windows: Pooling, fused: Fused) -> Finished:
    source, window = windows.source, windows.window
    channels = source.shape[3]
    layer = Weights(
        np.ones((channels, *window.kernel, 1), np.int64),
        np.full(channels, 1 / window.taps, np.float32),
    )
    requant, constants = requantized(source, layer, fused)
    op = DepthwiseConv2d(window, source.zero_point, requant)
    weight = np.ones((*window.kernel, channels), np.int8)
    return op, (source.name,), {"weight": weight, **constants}


OPTIONS = ("StrideH", "StrideW", "FilterHeight", "FilterWidth")
RULES = Rules(
    calls={
        "relax.nn.avg_pool1d": Rule(average_pool),
        "relax.nn.avg_pool2d": Rule(average_pool),
        "relax.nn.max_pool1d": Rule(max_pool, selects=True),
        "relax.nn.max_pool2d": Rule(max_pool, selects=True),
    },
    onnx={name: Onnx(pooling_pads, keeps_scale=True) for name in ("AveragePool", "MaxPool")},
    tflite={
        "AVERAGE_POOL_2D": Tflite(options="Pool2DOptions", positive=OPTIONS),
        "MAX_POOL_2D": Tflite(options="Pool2DOptions", positive=OPTIONS),
    },
)
