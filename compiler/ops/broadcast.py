# SPDX-License-Identifier: Apache-2.0
"""Shapes of operands that are repeated along axes where they have one element, as numpy does it.

All operands have the same number of axes.
"""

from __future__ import annotations

from tinytailor.compiler.ir import Shape
from tinytailor.targets.errors import InputError


def broadcast_shape(kind: str, *shapes: Shape) -> Shape:
    """The shape of the result, or InputError."""
    sizes = [set(axis) - {1} for axis in zip(*shapes, strict=False)]
    if len({len(shape) for shape in shapes}) > 1 or any(len(size) > 1 for size in sizes):
        text = " and ".join(map(str, shapes))
        raise InputError(f"{kind}: shapes {text}, expected equal sizes on every axis, or 1")
    return tuple(size.pop() if size else 1 for size in sizes)
