# SPDX-License-Identifier: Apache-2.0
"""Mean, sum, maximum and minimum over any axes, as one window of a pooling.

On the device the axes that go must follow each other, with axes that stay before and behind them:

    (outer, window, inner) -> (outer, inner)

which is the map (1, outer, window, inner) under windows of (1, window). Where they do not, the
tensor is transposed first, the axes that go in front.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Value,
)
from tinytailor.compiler.frontend.layout import Axes, device_axis, device_shape, order_of
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.pooling import (
    Pooling,
    averaged,
    highest,
    no_finish,
    pooled,
)
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ops.window import ONES, Window


def mean(call: Call, builder: GraphBuilder) -> Value:
    """GlobalAveragePool, ReduceMean."""
    whole = one_window(call, builder)
    return pooled(call, builder, whole, averaged(whole, False))


def maximum(call: Call, builder: GraphBuilder) -> Value:
    """GlobalMaxPool, ReduceMax."""
    whole = one_window(call, builder)
    return pooled(call, builder, whole, highest(call, builder, whole))


def minimum(call: Call, builder: GraphBuilder) -> Value:
    """-max(-x): a table before and behind the maximum."""
    x = activation(builder, call.arguments[0])
    if not x.real:
        raise Declined("the smallest of integers that were not dequantized")
    tensor = builder.tensors[x.tensor]
    mirrored = (tensor.scale, -1 - tensor.zero_point)  # q and -1 - q are both int8
    opposite = lookup.applied(lookup.of_activation(builder, x), np.negative)
    turned = lookup.looked_up(builder, opposite, mirrored, x.offset, call.origin)
    whole = one_window(call, builder, replace(turned, real=True))
    largest, source = highest(call, builder, whole), builder.tensors[turned.tensor]
    top = builder.emit_like(source, largest, x.offset, call.origin)
    return lookup.applied(lookup.of_activation(builder, top), np.negative)


def total(call: Call, builder: GraphBuilder) -> Value:
    """The mean times the number of elements: the mean into a scale so much smaller."""
    whole = one_window(call, builder)
    if not whole.x.real:
        raise Declined("it sums integers that were not dequantized")
    average = averaged(whole, False)
    count = whole.window.taps

    def finish(fused: Fused) -> Finished:
        return average.finish(replace(fused, y=replace(fused.y, scale=fused.y.scale / count)))

    return replace(average, finish=finish)


def one_window(call: Call, builder: GraphBuilder, x: Activation | None = None) -> Pooling:
    """The input as a map with one window over the axes that go."""
    x = x or activation(builder, call.arguments[0])
    rank = len(x.shape)
    given = call.attributes["axis"]
    gone = {int(axis) % rank for axis in (range(rank) if given is None else given)}
    placed, axes = together(builder, x, gone)
    sizes = [(axis, x.shape[axis]) for axis in axes]
    first = next((i for i, axis in enumerate(axes) if axis in gone and x.shape[axis] > 1), rank)
    outer = prod(size for axis, size in sizes[:first] if axis not in gone)
    window = prod(x.shape[axis] for axis in gone)
    inner = prod(x.shape) // (outer * window)
    whole = device_shape(x.shape, axes)
    height = {device_axis(x.shape, axes, axis) for axis in gone}
    if len(whole) == 4 and height == {1, 2}:  # also where the map has one pixel
        outer, inner = 1, whole[3]
        shape, kernel = whole, (whole[1], whole[2])
    elif outer == 1:
        shape, kernel = (1, window, 1, inner), (window, 1)
    else:
        shape, kernel = (1, outer, window, inner), (1, window)
    source = as_shape(builder, placed, shape)
    kept = tuple(1 if axis in gone else size for axis, size in enumerate(x.shape))
    device = (1, outer, 1, inner)
    result = Expression(call.shape, order_of(kept, axes), device, no_finish)
    sliding = Window(kernel, kernel if outer > 1 else ONES)
    return Pooling(x, source, sliding, (0, 0), result)


def together(builder: GraphBuilder, x: Activation, gone: set[int]) -> tuple[Activation, Axes]:
    """``x`` with the axes that go next to each other on the device."""
    x, axes = straight(builder, x)
    flags = [axis in gone for axis in axes if x.shape[axis] > 1]
    if sum(a != b for a, b in pairwise([False, *flags, False])) <= 2:
        return x, axes
    turned = (*(a for a in axes if a in gone), *(a for a in axes if a not in gone))
    return arranged(builder, x, order_of(x.shape, turned)), turned


ONNX = ("GlobalAveragePool", "ReduceL1", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare")
RULES = Rules(
    calls={
        "relax.max": Rule(maximum, selects=True),
        "relax.mean": Rule(mean),
        "relax.min": Rule(minimum),
        "relax.sum": Rule(total),
    },
    onnx={
        **{name: Onnx() for name in ONNX},
        **{name: Onnx(keeps_scale=True) for name in ("GlobalMaxPool", "ReduceMax")},
    },
    tflite={name: Tflite() for name in ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM")},
)
