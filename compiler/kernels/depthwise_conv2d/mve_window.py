# SPDX-License-Identifier: Apache-2.0
"""16 or 8 channels of a pixel at a time, where they divide evenly."""

from __future__ import annotations

from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.depthwise_conv2d import rows
from tinytailor.compiler.kernels.isa import mve, mve_requant
from tinytailor.compiler.kernels.variant import MVE, Variant
from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d


def lower(op: DepthwiseConv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    (shape,) = shapes
    channels = shape[3]
    lanes = mve.window_lanes(channels)
    assert lanes is not None  # limits has asked
    packed = {
        "weight": mve.pack_window_weights(constants["weight"], lanes),
        "bias": constants["bias"],
        "multiplier": constants["multiplier"],
    }
    schedule = tir.schedule_of(_computation(op, shape, packed, lanes))
    window = schedule.get_sblock("acc")
    line, _, group, _ = schedule.get_loops(schedule.get_sblock("y"))
    schedule.compute_at(window, group, preserve_unit_loops=True)
    rows.place(schedule, op, line)
    block = mve.window_block(op.window.kernel, rows.row_bytes(op, shape), channels, lanes)
    clear = schedule.decompose_reduction(window, schedule.get_loops(window)[-3])
    schedule.unroll(schedule.get_loops(clear)[-1])
    update = schedule.get_sblock("acc_update")
    schedule.tensorize(schedule.get_loops(update)[-3], block.name)
    blocks = (block, *mve_requant.finish(schedule, lanes, op.requant))
    overlap, sliding = {0: rows.overlap(op, shape)}, rows.sliding(op, shape)
    arguments = ("x0", *packed, "y")
    return TirKernel(schedule.mod["main"], arguments, packed, blocks, overlap, sliding)


def _computation(
    op: DepthwiseConv2d, shape: Shape, packed: Constants, lanes: int
) -> tuple[Any, ...]:
    """As of the others, with channels as groups of lanes."""
    _, oh, ow, channels = op.output_shape(shape)
    x = te.placeholder(shape, "int8", name="x")
    w, b, m = (te.placeholder(a.shape, a.dtype.name, name=role) for role, a in packed.items())
    under = rows.copied(op, shape, x)
    i, j = (te.reduce_axis((0, n), name) for n, name in zip(op.window.kernel, "ij", strict=True))

    def window(h: Any, v: Any, g: Any, c: Any) -> Any:
        value = under[h * op.window.stride[0] + i, v * op.window.stride[1] + j, g * lanes + c]
        return te.sum(tir.int32(value) * tir.int32(w[g, i, j, c]), axis=[i, j])

    size = (oh, ow, channels // lanes, lanes)
    acc = te.compute(size, window, name="acc")

    def output(h: Any, v: Any, g: Any, c: Any) -> Any:
        channel = g * lanes + c
        return tir.requantize(acc[h, v, g, c] + b[channel], m[channel], op.requant)

    return (x, w, b, m, te.compute(size, output, name="y"))


def limits(op: DepthwiseConv2d, shapes: Shapes) -> str:
    if mve.window_lanes(shapes[0][3]) is None:
        return f"takes channels in eights, not {shapes[0][3]}"
    return rows.block_limits(op)


VARIANT = Variant("mve_window", lower, MVE, limits)
