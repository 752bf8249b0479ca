# SPDX-License-Identifier: Apache-2.0
"""Broadcast operands with as few axes as possible: axes are merged wherever no operand starts or
stops being repeated between them. A map times one number per channel is (pixels, channels) times
(1, channels), two equal shapes are rows.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

from tinytailor.compiler.ir import Shape
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
