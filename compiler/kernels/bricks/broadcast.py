# SPDX-License-Identifier: Apache-2.0
"""Broadcast operands with as few axes as possible: axes are merged wherever no operand starts or
stops being repeated between them. A map times one number per channel is (pixels, channels) times
(1, channels), two equal shapes are rows.

A kernel is one loop; each element is read before it is written, over it if need be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import elementwise_overlap
from tinytailor.compiler.ops.broadcast import broadcast_shape


def merged(*shapes: Shape) -> tuple[Shape, ...]:
    """The same elements with as few axes as possible."""
    whole = broadcast_shape("operands", *shapes)
    axes = [axis for axis, size in enumerate(whole) if size > 1]
    spans = {axis: tuple(shape[axis] > 1 for shape in shapes) for axis in axes}
    cuts = [b for a, b in pairwise(axes) if spans[a] != spans[b]]
    groups: list[list[int]] = [[]]
    for axis in axes:
        if axis in cuts:
            groups.append([])
        groups[-1].append(axis)
    return tuple(tuple(prod(shape[a] for a in group) for group in groups) for shape in shapes)


def at(operand: Any, place: tuple[Any, ...]) -> Any:
    """The element of a TE tensor of a merged shape that belongs to ``place`` of the result."""
    sizes = (int(size) for size in operand.shape)
    return operand[tuple(i if size > 1 else 0 for i, size in zip(place, sizes, strict=True))]


def of_tensors(shapes: Shapes, value: Callable[..., Any]) -> TirKernel:
    """y = value(a, b, ...) of int8 tensors."""
    operands = merged(*shapes)
    tensors = [te.placeholder(s, "int8", name=chr(97 + i)) for i, s in enumerate(operands)]

    def computed(*place: Any) -> Any:
        return value(*(at(tensor, place) for tensor in tensors))

    y = te.compute(broadcast_shape("operands", *operands), computed, name="y")
    schedule = tir.schedule_of((*tensors, y))
    overlap = elementwise_overlap(shapes, broadcast_shape("operands", *shapes))
    arguments = (*(f"x{index}" for index in range(len(shapes))), "y")
    return TirKernel(schedule.mod["main"], arguments, {}, overlap=overlap)


def with_constants(
    shape: Shape,
    repeated: Shape,
    roles: Sequence[str],
    constants: Constants,
    value: Callable[..., Any],
) -> TirKernel:
    """y = value(a, c, ...) of an int8 tensor of ``shape`` and int32 constants of these roles, which
    are broadcast to it from the shape ``repeated``."""
    whole, repeated = merged(shape, repeated)
    a = te.placeholder(whole, "int8", name="a")
    arrays = {role: te.placeholder(repeated, "int32", name=role) for role in roles}

    def computed(*place: Any) -> Any:
        return value(a[place], *(at(array, place) for array in arrays.values()))

    y = te.compute(a.shape, computed, name="y")
    schedule = tir.schedule_of((a, *arrays.values(), y))
    arguments = ("x0", *arrays, "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})
