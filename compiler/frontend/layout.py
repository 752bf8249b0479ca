# SPDX-License-Identifier: Apache-2.0
"""How the axes of a model's tensor lie in device memory.

A tensor's ``order`` holds, for every place in device memory, the place of that element in the
model's own row-major order. It is nearly always the model's tensor with its axes transposed:

    order = row_major(shape).reshape(shape).transpose(axes).ravel()

Then ``axes`` says which axis of the model each axis of the device is, and what works along an axis
of the model works along that axis of the device.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.ir import Shape

Axes = tuple[int, ...]
MAP_LAYOUTS = {"NCHW": (0, 2, 3, 1), "NHWC": (0, 1, 2, 3), "NCW": (0, 2, 1), "NWC": (0, 1, 2)}


def row_major(shape: Shape) -> np.ndarray:
    return np.arange(prod(shape), dtype=np.int64)


def order_of(shape: Shape, axes: Axes) -> np.ndarray:
    return row_major(shape).reshape(shape).transpose(axes).ravel()


def inverse(order: np.ndarray) -> np.ndarray:
    places = np.empty(order.size, np.int64)
    places[order] = np.arange(order.size)
    return places


def map_order(shape: Shape, layout: str) -> np.ndarray:
    """The order of a map in ``layout`` that lies channels-last in memory."""
    return order_of(shape, MAP_LAYOUTS[layout])


def map_shape(shape: Shape, layout: str) -> Shape:
    """(1, height, width, channels) of a map in ``layout``; a series becomes (1, T, 1, C)."""
    sizes = dict(zip(layout, shape, strict=True))
    if layout in ("NCW", "NWC"):
        return (sizes["N"], sizes["W"], 1, sizes["C"])
    return (sizes["N"], sizes["H"], sizes["W"], sizes["C"])


def usual_axes(channels_first: bool, rank: int) -> Axes:
    """The axes in the order that most operators want: channels last, else as the model has them.

    ``channels_first``: whether the model has the channels of its maps in front of their pixels.
    """
    return (0, *range(2, rank), 1) if channels_first and rank > 2 else tuple(range(rank))


def axes_of(channels_first: bool, order: np.ndarray, shape: Shape) -> Axes | None:
    """The model's axes as they follow each other on the device; None if they are interleaved."""
    rank = len(shape)
    for axes in dict.fromkeys((usual_axes(channels_first, rank), tuple(range(rank)))):
        if np.array_equal(order, order_of(shape, axes)):
            return axes
    place = inverse(order)
    steps = {axis: place[prod(shape[axis + 1 :])] for axis in range(rank) if shape[axis] > 1}
    axes = tuple(sorted(range(rank), key=lambda axis: -steps.get(axis, order.size)))
    return axes if np.array_equal(order, order_of(shape, axes)) else None


def with_batch(shape: Shape) -> Shape:
    """``shape`` with a batch of one in front, if it has none."""
    return shape if shape[:1] == (1,) else (1, *shape)


def device_shape(shape: Shape, axes: Axes) -> Shape:
    """The shape over the device's memory: the axes as they lie, a batch of one in front."""
    return with_batch(tuple(shape[axis] for axis in axes))


def device_axis(shape: Shape, axes: Axes, axis: int) -> int:
    """Where axis ``axis`` of the model is in ``device_shape``."""
    return axes.index(axis) + len(device_shape(shape, axes)) - len(shape)


def factored(places: np.ndarray) -> tuple[Shape, Axes]:
    """The shape and the transposition of it that put element ``places[i]`` at place i.

    Runs of equal steps are peeled off from the innermost on; each is an axis, and in the order of
    their steps the axes are the shape.
    """
    axes: list[tuple[int, int]] = []  # (size, step), innermost first
    rest = places
    while rest.size > 1:
        step = int(rest[1] - rest[0])
        even = rest == rest[0] + step * np.arange(rest.size)
        size = rest.size if even.all() else int(np.argmin(even))
        if step < 1 or rest.size % size:
            raise Declined("its input would have to be shuffled in memory, not only transposed")
        axes.append((size, step))
        rest = rest[::size]
    by_step = sorted(axes, key=lambda axis: -axis[1])
    shape = tuple(size for size, _ in by_step)
    turned = tuple(by_step.index(axis) for axis in reversed(axes))
    moved = row_major(shape).reshape(shape or (1,)).transpose(turned or (0,)).ravel()
    if not np.array_equal(moved, places):
        raise Declined("its input would have to be shuffled in memory, not only transposed")
    return shape, turned
