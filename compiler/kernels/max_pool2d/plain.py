# SPDX-License-Identifier: Apache-2.0
"""One maximum per output element, kept in a register."""

from __future__ import annotations

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import window_overlap
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.max_pool import BORDER, MaxPool2d


def lower(op: MaxPool2d, shapes: Shapes, constants: Constants) -> TirKernel:
    _, oh, ow, _ = op.output_shape(*shapes)
    size = (oh, ow, shapes[0][3])
    (kh, kw), (sh, sw), (dh, dw) = op.window.kernel, op.window.stride, op.window.dilation
    x = te.placeholder(shapes[0], "int8", name="x")
    at = tir.padded(x, op.window.padding, tir.const(BORDER, "int8"))
    i, j = te.reduce_axis((0, kh), "i"), te.reduce_axis((0, kw), "j")
    top = te.compute(
        size,
        lambda h, v, c: te.max(tir.int32(at(h * sh + i * dh, v * sw + j * dw, c)), axis=[i, j]),
        name="top",
    )
    y = te.compute(
        size,
        lambda h, v, c: tir.clamped(top[h, v, c], op.low, op.high).astype("int8"),
        name="y",
    )
    schedule = tir.schedule_of((x, y))
    maximum = schedule.get_sblock("top")
    inner = schedule.get_loops(schedule.get_sblock("y"))[-1]
    schedule.compute_at(maximum, inner, preserve_unit_loops=True)
    schedule.decompose_reduction(maximum, schedule.get_loops(maximum)[-2])
    overlap = {0: window_overlap(shapes[0], (oh, ow), op.window)}
    return TirKernel(schedule.mod["main"], ("x0", "y"), {}, overlap=overlap)


VARIANT = Variant("plain", lower)
