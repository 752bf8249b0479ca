# SPDX-License-Identifier: Apache-2.0
"""How the axes of a model's tensor lie in device memory, and moving them where they must differ.

A tensor's ``order`` (values.py) is nearly always the model's tensor with its axes transposed:

    order = row_major(shape).reshape(shape).transpose(axes).ravel()

Then ``axes`` says which axis of the model each axis of the device is, and what works along an axis
of the model works along that axis of the device. Where an operator needs another order,
``arranged`` appends the one Transpose, over reshaped tensors, that makes it.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.values import Activation, row_major
from tinytailor.compiler.ir import Node, Shape
from tinytailor.compiler.ops import Transpose

if TYPE_CHECKING:
    from tinytailor.compiler.frontend.importer import Walk

Axes = tuple[int, ...]


def axes_of(walk: Walk, order: np.ndarray, shape: Shape) -> Axes | None:
    """The model's axes as they follow each other on the device; None if they are interleaved."""
    rank = len(shape)
    plain, last = tuple(range(rank)), (0, *range(2, rank), 1)
    for axes in (last, plain) if walk.model.channels_first and rank > 2 else (plain,):
        if np.array_equal(order, order_of(shape, axes)):
            return axes
    place = inverse(order)
    steps = {axis: place[prod(shape[axis + 1 :])] for axis in range(rank) if shape[axis] > 1}
    axes = tuple(sorted(range(rank), key=lambda axis: -steps.get(axis, order.size)))
    return axes if np.array_equal(order, order_of(shape, axes)) else None


def order_of(shape: Shape, axes: Axes) -> np.ndarray:
    return row_major(shape).reshape(shape).transpose(axes).ravel()


def inverse(order: np.ndarray) -> np.ndarray:
    places = np.empty(order.size, np.int64)
    places[order] = np.arange(order.size)
    return places


def device_shape(shape: Shape, axes: Axes) -> Shape:
    """The shape over the device's memory: the axes as they lie, a batch of one in front."""
    sizes = tuple(shape[axis] for axis in axes)
    return sizes if sizes and sizes[0] == 1 else (1, *sizes)


def device_axis(shape: Shape, axes: Axes, axis: int) -> int:
    """Where axis ``axis`` of the model is in ``device_shape``."""
    return axes.index(axis) + len(device_shape(shape, axes)) - len(shape)


def straight(walk: Walk, value: Activation) -> tuple[Activation, Axes]:
    """``value`` with axes that are not interleaved in memory, transposed there if need be."""
    axes = axes_of(walk, value.order, value.shape)
    if axes is None:
        axes = usual_axes(walk, len(value.shape))
        value = arranged(walk, value, order_of(value.shape, axes))
    return value, axes


def usual_axes(walk: Walk, rank: int) -> Axes:
    """The axes in the order that most operators want: channels last, else as the model has them."""
    return (0, *range(2, rank), 1) if walk.model.channels_first and rank > 2 else tuple(range(rank))


def arranged(walk: Walk, value: Activation, order: np.ndarray) -> Activation:
    """``value`` with its elements in memory as ``order`` says."""
    if np.array_equal(value.order, order):
        return value
    if value.tensor in walk.placeholders:  # where nothing is known, nothing can be wrong
        return replace(value, order=order)
    key = (value.tensor, inverse(value.order)[order].tobytes())
    if key not in walk.transposed:
        walk.transposed[key] = transposition(walk, value, order)
    return replace(value, tensor=walk.transposed[key], order=order)


def transposition(walk: Walk, value: Activation, order: np.ndarray) -> str:
    """The tensor a Transpose node writes: over the memory of ``value``, seen in the right shape."""
    shape, axes = factored(inverse(value.order)[order])
    source = walk.as_shape(value, (1, *shape))
    name = walk.names.fresh("transpose", "transpose")
    op = Transpose((0, *(axis + 1 for axis in axes)))
    walk.tensors[name] = replace(source, name=name, shape=op.output_shape(source.shape))
    walk.nodes.append(Node(name, op, (source.name,), name))
    return name


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
