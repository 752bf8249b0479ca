# SPDX-License-Identifier: Apache-2.0
"""The rows under a window, copied with their border, so that no tap needs a test.

    rows[h, w, c] = x[h - top, w - left, c]      as far as windows touch them
    acc[h, v, c]  = sum_ij rows[h * s + i * d, v * s + j * d, c] * weight[i, j, c]

From line to line the rows that stay under the window are kept (bricks.sliding). Without a border
nothing is copied. All of its kernels share this, and what follows from it for the overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic, Sliding, TirKernel
from tinytailor.compiler.kernels.bricks.overlap import first_reads, overlap_distance
from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d
from tinytailor.compiler.ops.window import Pair


def block_limits(op: DepthwiseConv2d) -> str:
    """Why no block of assembly computes its windows."""
    if op.weight_bits != 8:
        return f"takes weights of 8 bits, these have {op.weight_bits}"
    if op.window.dilation != (1, 1):
        return f"takes windows without gaps, these have the dilation {op.window.dilation}"
    if min(op.window.kernel) == 1:  # it is matched by its loops, and TVM drops loops of one turn
        return f"takes windows of 2 x 2 or more, these have the kernel {op.window.kernel}"
    return ""


def row_bytes(op: DepthwiseConv2d, shape: Shape) -> int:
    """From one row under the window to the next."""
    return (touched(op, shape)[1] if op.window.bordered else shape[2]) * shape[3]


def touched(op: DepthwiseConv2d, shape: Shape) -> Pair:
    """Rows and columns of the padded map that windows touch; TVM would cut it down to them."""
    _, oh, ow, _ = op.output_shape(shape)
    (down, right), (tall, wide) = op.window.stride, op.window.span
    return (oh - 1) * down + tall, (ow - 1) * right + wide


def copied(op: DepthwiseConv2d, shape: Shape, x: Any) -> Any:
    """The stage ``rows``."""
    border = tir.padded(x, op.window.padding, tir.border(op.input_zero_point, "int8"))
    return te.compute((*touched(op, shape), shape[3]), border, name="rows")


def place(schedule: Any, op: DepthwiseConv2d, line: Any) -> None:
    """Copy rows for each ``line`` of the output, or read them where they lie."""
    rows = schedule.get_sblock("rows")
    if op.window.bordered:
        schedule.compute_at(rows, line)
    else:
        schedule.compute_inline(rows)


def slides(op: DepthwiseConv2d, shape: Shape) -> bool:
    """Whether lines are copied and share rows; a loop of one line would not be there."""
    lines = op.output_shape(shape)[1]
    return op.window.bordered and 1 < op.window.span[0] > op.window.stride[0] and lines > 1


def sliding(op: DepthwiseConv2d, shape: Shape) -> Sliding | None:
    if not slides(op, shape):
        return None
    return Sliding("rows", op.window.span[0], op.window.stride[0])


def overlap(op: DepthwiseConv2d, shape: Shape) -> int:
    """With a border a line is copied, then written; without, a pixel is read, then written."""
    _, oh, ow, channels = op.output_shape(shape)
    if slides(op, shape):
        lines, (rows, _), (step, _) = np.arange(oh), op.window.span, op.window.stride
        fetched = lines * step - op.window.padding[0] + rows - step
        reads = np.maximum(fetched, 0) * shape[2] * channels
        return overlap_distance(reads, (lines + 1) * ow * channels)
    step = ow if op.window.bordered else 1
    pixels = np.arange(0, oh * ow, step)
    reads = first_reads(shape, pixels, ow, op.window)
    return overlap_distance(reads, (pixels + step) * channels)


def kernel(
    op: DepthwiseConv2d,
    shapes: Shapes,
    constants: Constants,
    lanes: int = 1,
    block: Intrinsic | None = None,
) -> TirKernel:
    """``lanes`` channels at a time by ``block``, or as plain loops."""
    (shape,) = shapes
    schedule = tir.schedule_of(_computation(op, shape))
    line, _, _ = schedule.get_loops(schedule.get_sblock("y"))
    window = schedule.get_sblock("acc")
    inner = tir.split_channels(schedule, window, lanes)
    place(schedule, op, line)
    tir.finish_window(schedule, window, inner, block)
    arguments = ("x0", "weight", "bias", "multiplier", "y")
    used = (block,) if block else ()
    distance, kept = {0: overlap(op, shape)}, sliding(op, shape)
    return TirKernel(schedule.mod["main"], arguments, dict(constants), used, distance, kept)


def _computation(op: DepthwiseConv2d, shape: Shape) -> tuple[Any, ...]:
    """Rows with their border, window, requantization."""
    size = op.output_shape(shape)[1:]
    x = te.placeholder(shape, "int8", name="x")
    w, b, m = (
        te.placeholder(spec.shape, spec.dtype, name=role)
        for role, spec in op.constants(shape).items()
    )
    rows = copied(op, shape, x)
    i, j = (te.reduce_axis((0, n), name) for n, name in zip(op.window.kernel, "ij", strict=True))

    def window(h: Any, v: Any, c: Any) -> Any:
        row = h * op.window.stride[0] + i * op.window.dilation[0]
        column = v * op.window.stride[1] + j * op.window.dilation[1]
        weight = tir.narrow(lambda place: w[i, j, place], c, op.weight_bits)
        return te.sum(tir.int32(rows[row, column, c]) * weight, axis=[i, j])

    acc = te.compute(size, window, name="acc")
    y = te.compute(
        size, lambda h, v, c: tir.requantize(acc[h, v, c] + b[c], m[c], op.requant), name="y"
    )
    return (x, w, b, m, y)
