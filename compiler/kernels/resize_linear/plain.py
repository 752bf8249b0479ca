# SPDX-License-Identifier: Apache-2.0
"""Places and weights of a pixel's neighbours are found once, then all of its channels computed."""

from __future__ import annotations

from functools import partial, reduce
from operator import add, mul
from typing import Any

import numpy as np
from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import overlap_distance
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.resize_linear import ResizeLinear


def lower(op: ResizeLinear, shapes: Shapes, constants: Constants) -> TirKernel:
    _, rows, columns, channels = shapes[0]
    _, height, width, _ = op.output_shape(*shapes)
    taps = 1 << len(op.axes)
    x = te.placeholder((rows * columns * channels,), "int8", name="x")
    tables = {
        role: te.placeholder(array.shape, "int16", name=role) for role, array in constants.items()
    }
    steps = [columns * channels if axis == 1 else channels for axis in op.axes]
    sides = [tuple(tap >> bit & 1 for bit in range(len(op.axes))) for tap in range(taps)]

    def first(h: Any, w: Any) -> Any:
        row, column = (
            tir.int32(tables[f"index{axis}"][place]) if axis in op.axes else place
            for axis, place in ((1, h), (2, w))
        )
        return (row * columns + column) * channels

    def factor(tap: int, h: Any, w: Any) -> Any:
        pairs = zip(op.axes, sides[tap], strict=True)
        place = {1: h, 2: w}
        return reduce(mul, (tir.int32(tables[f"weight{a}"][place[a], side]) for a, side in pairs))

    start = te.compute((height, width), first, name="start")
    factors = [
        te.compute((height, width), partial(factor, tap), name=f"factor{tap}")
        for tap in range(taps)
    ]
    offsets = [sum(step * side for step, side in zip(steps, at, strict=True)) for at in sides]

    def computed(h: Any, w: Any, c: Any) -> Any:
        products = (
            tir.int32(x[start[h, w] + offset + c]) * weight[h, w]
            for offset, weight in zip(offsets, factors, strict=True)
        )
        acc = reduce(add, products, tir.parameter("bias", op.bias))
        value = acc >> tir.parameter("right_shift", op.shift)
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    y = te.compute((height, width, channels), computed, name="y")
    schedule = tir.schedule_of((x, *tables.values(), y))
    pixel = schedule.get_loops(schedule.get_sblock("y"))[1]
    for name in ("start", *(f"factor{tap}" for tap in range(taps))):
        schedule.compute_at(schedule.get_sblock(name), pixel)
    arguments = ("x0", *tables, "y")
    distance = {0: overlap(op, shapes, constants)}
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap=distance)


def overlap(op: ResizeLinear, shapes: Shapes, constants: Constants) -> int:
    """Pixel after pixel, each once its first neighbour has been read."""
    *_, columns, channels = shapes[0]
    _, height, width, _ = op.output_shape(*shapes)
    row = constants.get("index1", np.arange(height)).astype(np.int64)
    column = constants.get("index2", np.arange(width)).astype(np.int64)
    reads = (row[:, None] * columns + column).ravel() * channels
    written = (np.arange(height * width) + 1) * channels
    return overlap_distance(reads, written)


VARIANT = Variant("plain", lower)
