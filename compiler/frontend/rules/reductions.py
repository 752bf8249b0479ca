# SPDX-License-Identifier: Apache-2.0
"""Mean, sum, maximum, minimum and their places over any axes, as one window of a pooling.

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

from tinytailor.compiler.frontend.importer import Walk
from tinytailor.compiler.frontend.layout import (
    Axes,
    arranged,
    device_axis,
    device_shape,
    order_of,
    straight,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.rules.pooling import (
    Pooling,
    averaged,
    highest,
    no_finish,
    pooled,
)
from tinytailor.compiler.frontend.values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Indices,
    Unknown,
    Value,
    row_major,
)
from tinytailor.compiler.ir import Node
from tinytailor.compiler.ops import ArgMax
from tinytailor.compiler.ops.geometry import NO_PADDING


def mean(call: Call, walk: Walk) -> Value:
    """GlobalAveragePool, ReduceMean."""
    whole = one_window(call, walk)
    return pooled(call, walk, whole, averaged(whole, False))


def maximum(call: Call, walk: Walk) -> Value:
    """GlobalMaxPool, ReduceMax."""
    whole = one_window(call, walk)
    return pooled(call, walk, whole, highest(call, walk, whole))


def minimum(call: Call, walk: Walk) -> Value:
    """-max(-x): a table before and behind the maximum."""
    x = walk.activation(call.arguments[0])
    if not x.real:
        raise Declined("the smallest of integers that were not dequantized")
    tensor = walk.tensors[x.tensor]
    mirrored = (tensor.scale, -1 - tensor.zero_point)  # q and -1 - q are both int8
    opposite = pointwise.applied(pointwise.of_activation(x, walk), np.negative)
    turned = pointwise.finish(walk, opposite, mirrored, x.offset, call.origin)
    whole = one_window(call, walk, replace(turned, real=True))
    name = walk.new_name(call.origin)
    source = replace(walk.tensors[turned.tensor], name=name, shape=whole.placed.device)
    top = walk.emit(highest(call, walk, whole), Fused(source, -128, 127, None), x.offset)
    return pointwise.applied(pointwise.of_activation(top, walk), np.negative)


def total(call: Call, walk: Walk) -> Value:
    """The mean times the number of elements: the mean into a scale so much smaller."""
    whole = one_window(call, walk)
    if not whole.x.real:
        raise Declined("it sums integers that were not dequantized")
    average = averaged(whole, False)
    count = prod(whole.kernel)

    def finish(fused: Fused) -> Finished:
        return average.finish(replace(fused, y=replace(fused.y, scale=fused.y.scale / count)))

    return replace(average, finish=finish)


def one_window(call: Call, walk: Walk, x: Activation | None = None) -> Pooling:
    """The input as a map with one window over the axes that go."""
    x = x or walk.activation(call.arguments[0])
    rank = len(x.shape)
    given = call.attributes["axis"]
    gone = {int(axis) % rank for axis in (range(rank) if given is None else given)}
    placed, axes = together(walk, x, gone)
    sizes = [(axis, x.shape[axis]) for axis in axes]
    first = next((i for i, axis in enumerate(axes) if axis in gone and x.shape[axis] > 1), rank)
    outer = prod(size for axis, size in sizes[:first] if axis not in gone)
    window = prod(x.shape[axis] for axis in gone)
    inner = prod(x.shape) // (outer * window)
    whole = device_shape(x.shape, axes)
    height = {device_axis(x.shape, axes, axis) for axis in gone}
    if len(whole) == 4 and height == {1, 2}:
        shape, kernel = whole, (whole[1], whole[2])
    elif outer == 1:
        shape, kernel = (1, window, 1, inner), (window, 1)
    else:
        shape, kernel = (1, outer, window, inner), (1, window)
    source = walk.as_shape(placed, shape)
    kept = tuple(1 if axis in gone else size for axis, size in enumerate(x.shape))
    device = (1, outer, 1, inner) if outer > 1 else (1, 1, 1, inner)
    result = Expression(call.shape, order_of(kept, axes), device, no_finish)
    stride = kernel if outer > 1 else (1, 1)
    return Pooling(x, source, kernel, stride, (1, 1), NO_PADDING, (0, 0), result)


def together(walk: Walk, x: Activation, gone: set[int]) -> tuple[Activation, Axes]:
    """``x`` with the axes that go next to each other on the device."""
    x, axes = straight(walk, x)
    flags = [axis in gone for axis in axes if x.shape[axis] > 1]
    if sum(a != b for a, b in pairwise([False, *flags, False])) <= 2:
        return x, axes
    turned = (*(a for a in axes if a in gone), *(a for a in axes if a not in gone))
    return arranged(walk, x, order_of(x.shape, turned)), turned


def arg_max(call: Call, walk: Walk) -> Value:
    return found(call, walk, True)


def arg_min(call: Call, walk: Walk) -> Value:
    return found(call, walk, False)


def found(call: Call, walk: Walk, largest: bool) -> Value:
    """Places along one axis or the whole tensor; the other axes stay in the order of the model."""
    if isinstance(walk.argument(call.arguments[0]), Unknown):
        return Unknown(call.shape)
    x = walk.activation(call.arguments[0])
    given = call.attributes["axis"]
    if given is None:
        x = replace(x, shape=(1, x.order.size))
    axis = (1 if given is None else int(given)) % len(x.shape)
    placed, axes = straight(walk, x)
    rest = [a for a in axes if a != axis and x.shape[a] > 1]
    if rest != sorted(rest):
        turned = tuple(a for a in range(len(x.shape)) if a != axis)
        axes = (*turned, axis)
        placed = arranged(walk, placed, order_of(x.shape, axes))
    whole = device_shape(x.shape, axes)
    op = ArgMax(device_axis(x.shape, axes, axis), largest)
    if op.axis == 0:
        raise Declined("it searches along the batch")
    source = walk.as_shape(placed, whole)
    name = walk.new_name(call.origin)
    shape = op.output_shape(source.shape)
    walk.tensors[name] = replace(
        source, name=name, shape=shape, dtype="int32", scale=1.0, zero_point=0
    )
    walk.nodes.append(Node(name, op, (source.name,), name))
    return Indices(name, call.shape, row_major(call.shape))
