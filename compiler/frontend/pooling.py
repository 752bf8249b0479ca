# SPDX-License-Identifier: Apache-2.0
"""Averages and maxima over windows of a map.

An average whose output is quantized like its input is AveragePool2d. With another output scale it
is a depthwise convolution with ones, s_w = 1 / window: the same mean with a single rounding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinytailor.compiler.frontend.bindings import Call
from tinytailor.compiler.frontend.linear import Weights, requantized, window
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.values import (
    MAP_LAYOUTS,
    Activation,
    Expression,
    Finished,
    Fused,
    Value,
    map_order,
    map_shape,
)
from tinytailor.compiler.frontend.walk import Walk, same_quantization
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import AveragePool2d, DepthwiseConv2d, MaxPool2d
from tinytailor.compiler.ops.geometry import NO_PADDING, Padding

Pair = tuple[int, int]


def mean(call: Call, walk: Walk) -> Expression:
    """GlobalAveragePool, ReduceMean: over the whole height and width."""
    x = walk.activation(call.arguments[0])
    rank = len(x.shape)
    axes = {int(axis) % rank for axis in call.attributes["axis"] or range(rank)}
    layouts = [
        layout
        for layout in MAP_LAYOUTS
        if len(layout) == rank and axes == {layout.index(a) for a in layout if a in "HW"}
    ]
    if not layouts:
        raise Declined(f"mean of {x.shape} over axes {sorted(axes)}: expected height and width")
    source = walk.as_map(x, layouts[0])
    kernel = (source.shape[1], source.shape[2])
    channels = np.arange(source.shape[3])
    device = (1, 1, 1, source.shape[3])
    return averaged(source, kernel, (1, 1), Expression(call.shape, channels, device, no_finish))


def average_pool(call: Call, walk: Walk) -> Value:
    x, source, kernel, stride, padding, placed = pooling(call, walk)
    if any(padding) and call.attributes["count_include_pad"]:
        raise Declined("average pooling that counts its padding (count_include_pad)")
    return pooled(call, walk, x, source, averaged(source, kernel, stride, placed, padding))


def max_pool(call: Call, walk: Walk) -> Value:
    x, source, kernel, stride, padding, placed = pooling(call, walk)

    def finish(fused: Fused) -> Finished:
        pool = MaxPool2d(kernel, stride, padding, fused.low, fused.high)
        check_size(pool.output_shape(source.shape), placed)
        quantization = (fused.y.scale, fused.y.zero_point)
        if not same_quantization((source.scale, source.zero_point), quantization):
            raise Declined(
                f"maximum pooling of a tensor of scale {source.scale:g} into one of scale "
                f"{fused.y.scale:g}; give both the same scale and zero point"
            )
        return pool, (source.name,), {}

    return pooled(call, walk, x, source, replace(placed, finish=finish))


def pooling(call: Call, walk: Walk) -> tuple[Activation, Tensor, Pair, Pair, Padding, Expression]:
    """Input, its map, kernel, stride, padding and the shapes of the result of a pooling call."""
    x = walk.activation(call.arguments[0])
    attributes = call.attributes
    layout = str(attributes["layout"])
    stride, dilation, padding = window(attributes, len(layout) - 2)
    if dilation != (1, 1):
        raise Declined("pooling with dilation")
    source = walk.as_map(x, layout)
    size = list(attributes["pool_size"])
    kernel = (int(size[0]), int(size[1]) if len(size) > 1 else 1)
    device = map_shape(call.shape, layout)
    placed = Expression(call.shape, map_order(call.shape, layout), device, no_finish)
    return x, source, kernel, stride, padding, placed


def pooled(call: Call, walk: Walk, x: Activation, source: Tensor, value: Expression) -> Value:
    """A pooling of integers, as TFLite has it, is complete; one of reals waits for its scale."""
    if x.real:
        return value
    y = replace(source, name=walk.new_name(call.origin), shape=value.device)
    return walk.emit(value, Fused(y, -128, 127, None), x.offset)


def check_size(shape: Shape, placed: Expression) -> None:
    if shape != placed.device:
        raise Declined("pooling whose last window is cut off (ceil_mode)")


def no_finish(fused: Fused) -> Finished:
    raise AssertionError("an expression without an operator")


def averaged(
    source: Tensor, kernel: Pair, stride: Pair, placed: Expression, padding: Padding = NO_PADDING
) -> Expression:
    def finish(fused: Fused) -> Finished:
        pool = AveragePool2d(kernel, stride, padding, fused.low, fused.high)
        check_size(pool.output_shape(source.shape), placed)
        quantization = (fused.y.scale, fused.y.zero_point)
        if same_quantization((source.scale, source.zero_point), quantization):
            return pool, (source.name,), {}
        if any(padding):
            raise Declined(
                f"average pooling with padding of a tensor of scale {source.scale:g} into one of "
                f"scale {fused.y.scale:g}; give both the same scale and zero point"
            )
        return ones_convolution(source, kernel, stride, fused)

    return replace(placed, finish=finish)


def ones_convolution(source: Tensor, kernel: Pair, stride: Pair, fused: Fused) -> Finished:
    channels = source.shape[3]
    layer = Weights(
        np.ones((channels, *kernel, 1), np.int64),
        np.full(channels, 1 / (kernel[0] * kernel[1]), np.float32),
    )
    requant, constants = requantized(source, layer, fused)
    op = DepthwiseConv2d(kernel, stride, input_zero_point=source.zero_point, requant=requant)
    weight = np.ones((*kernel, channels), np.int8)
    return op, (source.name,), {"weight": weight, **constants}
