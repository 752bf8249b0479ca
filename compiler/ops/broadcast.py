# SPDX-License-Identifier: Apache-2.0
"""Shapes of operands that are repeated along axes where they have one element, as numpy does it.

All operands have the same number of axes. For kernels, axes are merged wherever no operand starts
or stops being repeated between them: a map times one number per channel is (pixels, channels)
times (1, channels), two equal shapes are rows.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

from tinytailor.compiler.ir import Shape
from tinytailor.targets.errors import InputError


def broadcast_shape(kind: str, *shapes: Shape) -> Shape:
    """The shape of the result, or InputError."""
    sizes = [set(axis) - {1} for axis in zip(*shapes, strict=False)]
    if len({len(shape) for shape in shapes}) > 1 or any(len(size) > 1 for size in sizes):
        text = " and ".join(map(str, shapes))
        raise InputError(f"{kind}: shapes {text}, expected equal sizes on every axis, or 1")
    return tuple(size.pop() if size else 1 for size in sizes)


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
