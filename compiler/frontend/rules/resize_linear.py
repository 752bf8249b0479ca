# SPDX-License-Identifier: Apache-2.0
"""Linear resizing as one call: where between the elements along each axis each of the result lies.

Along the axes on which all of these are whole places it only selects (selection.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.layout import Axes, device_axis, device_shape, order_of
from tinytailor.compiler.frontend.relax_calls import Call, own_call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.operands import dequantized
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Rule, Rules
from tinytailor.compiler.frontend.rules.selection import taken
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import ResizeLinear
from tinytailor.compiler.ops.resize_linear import MAX_SIZE

NAME = "tinytailor.resize_linear"


def resize_linear(call: Call, builder: GraphBuilder) -> Value:
    if isinstance(builder.argument(call.arguments[0]), Unknown):
        return Unknown(call.shape)
    x = dequantized(builder, call.arguments[0], "interpolates")
    places = [builder.constant(item, "place").array for item in call.arguments[1:]]
    whole = [np.array_equal(place, np.rint(place)) for place in places]
    if not all(whole) and max(*x.shape, *call.shape) > MAX_SIZE:
        raise Declined(f"it resizes along an axis of more than {MAX_SIZE} elements")
    selected = [
        place.astype(np.int64) if only else np.arange(size)
        for place, only, size in zip(places, whole, x.shape, strict=True)
    ]
    x = taken(builder, x, selected, call)
    between = {axis: place for axis, place in enumerate(places) if not whole[axis]}
    return interpolated(builder, x, between, call.shape) if between else x


def interpolated(
    builder: GraphBuilder, x: Activation, places: Mapping[int, np.ndarray], shape: Shape
) -> Expression:
    """Along one axis or two of ``x``, which follow each other on the device."""
    if len(places) > 2:
        raise Declined(f"it interpolates along {len(places)} axes, expected one or two")
    x, axes = straight(builder, x)
    if not fits(x.shape, axes, places):
        axes = (*(a for a in axes if a in places), *(a for a in axes if a not in places))
        axes = (0, *(axis for axis in axes if axis != 0))
        x = arranged(builder, x, order_of(x.shape, axes))
    source = as_shape(builder, x, as_map(x.shape, axes, places))
    along = sorted(places, key=axes.index)
    rows = len(along) == 2 or before(x.shape, axes, places) == 1
    named = {(1 if rows else 2) + number: places[axis] for number, axis in enumerate(along)}

    def finish(fused: Fused) -> Finished:
        op, constants = ResizeLinear.from_scales(source, fused.y, named, fused.low, fused.high)
        return op, (source.name,), constants

    return Expression(shape, order_of(shape, axes), as_map(shape, axes, places), finish)


def before(shape: Shape, axes: Axes, places: Mapping[int, np.ndarray]) -> int:
    """Elements along what lies before the first axis that changes."""
    first = min(device_axis(shape, axes, axis) for axis in places)
    return prod(device_shape(shape, axes)[:first])


def fits(shape: Shape, axes: Axes, places: Mapping[int, np.ndarray]) -> bool:
    """Whether ``as_map`` can see it: one axis anywhere, or two with nothing before or between."""
    first, *others = sorted(device_axis(shape, axes, axis) for axis in places)
    between = prod(device_shape(shape, axes)[first + 1 : others[0]]) if others else 1
    return not others or (between == 1 and before(shape, axes, places) == 1)


def as_map(shape: Shape, axes: Axes, places: Mapping[int, np.ndarray]) -> Shape:
    """Two axes as (1, *both, behind); one as (1, axis, 1, behind) or (1, before, axis, behind)."""
    sizes = device_shape(shape, axes)
    first, *others = sorted(device_axis(shape, axes, axis) for axis in places)
    behind = prod(sizes[(others or [first])[0] + 1 :])
    if others:
        return (1, sizes[first], sizes[others[0]], behind)
    rows = before(shape, axes, places)
    return (1, sizes[first], 1, behind) if rows == 1 else (1, rows, sizes[first], behind)


def between_places(x: Any, places: Mapping[int, np.ndarray]) -> Any:
    """The call that takes ``places``, fractions of elements, along some axes and all of the
    others."""
    from tvm import relax

    tables = [
        np.clip(np.asarray(places.get(axis, range(n)), np.float32), 0, n - 1)
        for axis, n in enumerate(shape_of(x))
    ]
    out_type = relax.TensorType(shape=[len(table) for table in tables], dtype=str(x.ty.dtype))
    return own_call(NAME, [x, *(relax.const(table) for table in tables)], out_type)


RULES = Rules(calls={NAME: Rule(resize_linear)})
