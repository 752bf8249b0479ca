# SPDX-License-Identifier: Apache-2.0
"""Elements of a tensor by their places along its axes.

Slice, Split, Gather by constants, nearest Resize, Tile and borders that repeat the map are written
by their conversions as one call, ``NAME(x, places of axis 0, places of axis 1, ...)``. Where the
places of every axis follow each other it is a Slice, else a Take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Activation, Constant, Unknown, Value
from tinytailor.compiler.frontend.layout import Axes, device_axis, device_shape, order_of
from tinytailor.compiler.frontend.relax_calls import Call, own_call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Rule, Rules
from tinytailor.compiler.frontend.rules.transpose import straight
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Slice, Take
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.take import MAX_SIZE

NAME = "tinytailor.take"


def take(call: Call, builder: GraphBuilder) -> Value:
    value = builder.argument(call.arguments[0])
    places = [builder.constant(item, "place").array.astype(np.int64) for item in call.arguments[1:]]
    check_places(value.shape, places)
    if isinstance(value, Unknown):
        return Unknown(call.shape)
    if isinstance(value, Constant):
        return value.each(lambda array: array[np.ix_(*places)])
    return taken(builder, activation(builder, call.arguments[0]), places, call)


def check_places(shape: Shape, places: list[np.ndarray]) -> None:
    for axis, (size, wanted) in enumerate(zip(shape, places, strict=True)):
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < size:
            raise Declined(f"it reads outside axis {axis} of {shape}")


def taken(builder: GraphBuilder, x: Activation, places: list[np.ndarray], call: Call) -> Activation:
    """``x`` at ``places`` along each axis: nothing, a Slice or a Take."""
    shape = tuple(len(wanted) for wanted in places)
    if 0 in shape:
        raise Declined(f"its result of shape {shape} is empty")
    if all(np.array_equal(p, np.arange(n)) for p, n in zip(places, x.shape, strict=True)):
        return x
    return placed_at(builder, x, places, builder.new_name(call.origin))


def placed_at(
    builder: GraphBuilder, x: Activation, places: list[np.ndarray], name: str
) -> Activation:
    shape = tuple(len(wanted) for wanted in places)
    x, axes = straight(builder, x)
    source = as_shape(builder, x, device_shape(x.shape, axes))
    op, constants = operator(x.shape, source.shape, axes, places)
    y = replace(source, name=name, shape=op.output_shape(source.shape))
    builder.append(op, (source.name,), y, constants)
    if x.tensor in builder.placeholders:
        builder.placeholders.add(name)
    return replace(x, tensor=name, shape=shape, order=order_of(shape, axes))


def repeated(builder: GraphBuilder, x: Activation, shape: Shape) -> Activation:
    """``x`` as numpy broadcasts it to ``shape``."""
    x = replace(x, shape=(*(1,) * (len(shape) - len(x.shape)), *x.shape))
    places = [np.arange(n) % size for n, size in zip(shape, x.shape, strict=True)]
    return placed_at(builder, x, places, builder.names.fresh("repeat", "repeat"))


def operator(
    shape: Shape, source: Shape, axes: Axes, places: list[np.ndarray]
) -> tuple[Operator, dict[str, np.ndarray]]:
    """The operator along the axes of the device, and its tables."""
    wanted = {
        device_axis(shape, axes, axis): along
        for axis, along in enumerate(places)
        if not np.array_equal(along, np.arange(shape[axis]))
    }
    if 0 in wanted:
        raise Declined("it selects along the batch")
    if all(np.all(np.diff(along) == 1) for along in wanted.values()):
        begin = tuple(int(wanted[axis][0]) if axis in wanted else 0 for axis in range(len(source)))
        sizes = tuple(len(wanted.get(axis, range(size))) for axis, size in enumerate(source))
        return Slice(begin, sizes), {}
    changed = tuple(sorted(wanted))
    if max(max(len(wanted[axis]), source[axis]) for axis in changed) > MAX_SIZE:
        raise Declined(f"it selects along an axis of more than {MAX_SIZE} elements")
    op = Take(changed, tuple(len(wanted[axis]) for axis in changed))
    return op, {f"index{axis}": wanted[axis].astype(np.int16) for axis in changed}


def taken_places(
    x: Any,
    places: Mapping[int, Sequence[int] | np.ndarray],
    sizes: Sequence[int] = (),
    dtype: str = "",
) -> Any:
    """The call that takes places along some axes, and all of the others.

    ``sizes`` and ``dtype``: those of ``x`` where it is a call whose type is not inferred yet.
    """
    from tvm import relax

    sizes = sizes or shape_of(x)
    tables = [np.asarray(places.get(axis, range(n)), np.int64) for axis, n in enumerate(sizes)]
    shape = [len(table) for table in tables]
    out_type = relax.TensorType(shape=shape, dtype=dtype or str(x.ty.dtype))
    return own_call(NAME, [x, *(relax.const(table) for table in tables)], out_type)


RULES = Rules(calls={NAME: Rule(take, selects=True)})
