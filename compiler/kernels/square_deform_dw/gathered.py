# SPDX-License-Identifier: Apache-2.0
"""Per pixel: its dilation, then the nine taps gathered side by side, then a plain window.

A tap is one contiguous run of channels, so gathering it is one copy or one fill.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic, TirKernel
from tinytailor.compiler.kernels.bricks.overlap import first_reads, overlap_distance
from tinytailor.compiler.ops.square_deform_dw import MAX_DILATION, SquareDeformDW
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant


def kernel(
    op: SquareDeformDW,
    shapes: Shapes,
    constants: Constants,
    lanes: int = 1,
    block: Intrinsic | None = None,
) -> TirKernel:
    """``lanes`` channels at a time by ``block``, or as plain loops."""
    schedule = tir.schedule_of(_computation(op, shapes[0]))
    _, pixel, _ = schedule.get_loops(schedule.get_sblock("y"))
    window, taps = schedule.get_sblock("acc"), schedule.get_sblock("taps")
    inner = tir.split_channels(schedule, window, lanes)
    for stage in (taps, schedule.get_sblock("d"), schedule.get_sblock("offset")):
        schedule.compute_at(stage, pixel, preserve_unit_loops=True)
    offset = schedule.get_sblock("offset")
    schedule.decompose_reduction(offset, schedule.get_loops(offset)[-1])
    tir.finish_window(schedule, window, inner, block)
    arguments = ("x0", *op.constants(*shapes), "y")
    used = (block,) if block else ()
    overlap = {0: _overlap(shapes[0])}
    return TirKernel(schedule.mod["main"], arguments, dict(constants), used, overlap)


def _overlap(shape: Shape) -> int:
    """A pixel is gathered from as far as the dilation reaches, then written."""
    _, height, width, channels = shape
    pixels = np.arange(height * width)
    reach = Window((1, 1), padding=(MAX_DILATION,) * 4)
    reads = first_reads(shape, pixels, width, reach)
    return overlap_distance(reads, (pixels + 1) * channels)


def _computation(op: SquareDeformDW, shape: Shape) -> tuple[Any, ...]:
    """Offset, dilation, taps, window, requantization, each a stage of its own."""
    _, height, width, channels = shape
    x = te.placeholder(shape, "int8", name="x")
    roles = {
        role: te.placeholder(spec.shape, spec.dtype, name=role)
        for role, spec in op.constants(shape).items()
    }
    k = te.reduce_axis((0, channels), "k")
    i, j = te.reduce_axis((0, 3), "i"), te.reduce_axis((0, 3), "j")

    def offset_sum(h: Any, v: Any) -> Any:
        weight = tir.int32(roles["offset_weight"][k])
        return te.sum(tir.int32(x[0, h, v, k]) * weight, axis=k)

    def dilation(h: Any, v: Any) -> Any:
        total = offset[h, v] + roles["offset_bias"][0]
        to_pixels = Requant(shift=op.offset_shift, low=0, high=MAX_DILATION)
        multiplier = roles["offset_multiplier"][0]
        return tir.int32(tir.requantize(total, multiplier, to_pixels, "offset_"))

    def tap(h: Any, v: Any, i: Any, j: Any, c: Any) -> Any:
        row, column = h + (i - 1) * d[h, v], v + (j - 1) * d[h, v]
        inside = tir.inside(row, column, height, width)
        border = tir.border(op.input_zero_point, "int8")
        return tirx.if_then_else(inside, x[0, row, column, c], border)

    def window(h: Any, v: Any, c: Any) -> Any:
        weight = tir.int32(roles["weight"][i, j, c])
        return te.sum(tir.int32(taps[h, v, i, j, c]) * weight, axis=[i, j])

    def requantized(h: Any, v: Any, c: Any) -> Any:
        total = acc[h, v, c] + roles["bias"][c]
        return tir.requantize(total, roles["multiplier"][c], op.requant)

    offset = te.compute((height, width), offset_sum, name="offset")
    d = te.compute((height, width), dilation, name="d")
    taps = te.compute((height, width, 3, 3, channels), tap, name="taps")
    acc = te.compute((height, width, channels), window, name="acc")
    y = te.compute((height, width, channels), requantized, name="y")
    return (x, *roles.values(), y)
