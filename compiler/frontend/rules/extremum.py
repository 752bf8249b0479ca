# SPDX-License-Identifier: Apache-2.0
"""The larger and the smaller of two: bounds of a clamp where one is a number, else an operator of
its own; and PRelu, whose negative side has a slope of its own for each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from tinytailor.compiler.frontend.importer import Walk
from tinytailor.compiler.frontend.layout import device_shape, straight
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.rules.broadcasting import aligned, reduced
from tinytailor.compiler.frontend.rules.elementwise import clamped
from tinytailor.compiler.frontend.rules.moves import as_quantized
from tinytailor.compiler.frontend.values import (
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.ops import Extremum, PRelu

PRELU = "tinytailor.prelu"


def maximum(call: Call, walk: Walk) -> Value:
    return extreme(call, walk, True, np.maximum)


def minimum(call: Call, walk: Walk) -> Value:
    return extreme(call, walk, False, np.minimum)


def extreme(call: Call, walk: Walk, largest: bool, function: Callable[..., np.ndarray]) -> Value:
    values = [walk.argument(argument) for argument in call.arguments]
    if any(isinstance(value, Unknown) for value in values):
        return Unknown(call.shape)
    for value, argument in zip(values, call.arguments[::-1], strict=True):
        alone = not isinstance(walk.argument(argument), Pointwise | Constant)
        if isinstance(value, Constant) and value.array.size == 1 and alone:
            number = float(value.real.reshape(-1)[0])
            bounds = (number, inf) if largest else (-inf, number)
            return clamped(call, walk, argument, *bounds)
    if (result := pointwise.binary(call, walk, function)) is not None:
        return result
    if any(isinstance(value, Constant) for value in values):
        raise Declined("the extreme of a tensor and an array of constants; expected one number")
    return of_two(call, walk, largest)


def of_two(call: Call, walk: Walk, largest: bool) -> Expression:
    """Two tensors, both with the scale of the result."""
    a, b = (walk.activation(argument) for argument in call.arguments)
    if not a.real or not b.real:
        raise Declined("it compares integers that were not dequantized")
    pair = aligned(walk, a, b, call.shape)

    def finish(fused: Fused) -> Finished:
        left, right = (as_quantized(walk, value, fused, call) for value in (a, b))
        same = aligned(walk, left, right, call.shape)
        op = Extremum(largest, fused.low, fused.high)
        return op, (same.left.name, same.right.name), {}

    return Expression(call.shape, pair.order, pair.device, finish)


def prelu(call: Call, walk: Walk) -> Value:
    """x where it is positive, slope * x elsewhere: a table if there is one slope only."""
    value = walk.argument(call.arguments[0])
    slope = walk.constant(call.arguments[1], "slope").real
    if isinstance(value, Unknown):
        return value
    if slope.size == 1 and isinstance(value, Activation | Pointwise):
        number = slope.reshape(-1)[0]
        return pointwise.unary(lambda real, _: np.where(real < 0, real * number, real))(call, walk)
    x, axes = straight(walk, walk.activation(call.arguments[0]))
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape or not np.all(np.isfinite(slope)):
        raise Declined(f"slopes of shape {slope.shape} for a tensor of shape {x.shape}")
    source = walk.as_shape(x, device_shape(x.shape, axes))
    placed = np.broadcast_to(slope, x.shape).transpose(axes).reshape(source.shape)
    slopes, _ = reduced(placed, placed)

    def finish(fused: Fused) -> Finished:
        op, negative = PRelu.from_scales(source, slopes, fused.y, fused.low, fused.high)
        return op, (source.name,), {"negative": negative}

    return Expression(call.shape, x.order, source.shape, finish)
