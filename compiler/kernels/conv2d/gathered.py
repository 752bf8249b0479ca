# SPDX-License-Identifier: Apache-2.0
"""Convolution over gathered pixels, what its plain and its DSP kernel share.

    patch[v, k] = the k-th value under pixel v      int16, a tile of pixels (im2col)
    acc[v, o]   = sum_k patch[v, k] * weight[o, k]  a tile of pixels times a tile of channels
    y[v, o]     = requant(acc[v, o] + bias[o]), or added to another tensor

Pixels and channels are padded to whole tiles, and only real outputs are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.addition import sum_of
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic, TirKernel
from tinytailor.compiler.kernels.bricks.overlap import tile_overlap
from tinytailor.compiler.kernels.isa import dsp
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.window import Pair


def depth_of(op: Conv2d, shape: Shape) -> int:
    """Products of an output."""
    return op.window.taps * shape[3]


def block_limits(op: Conv2d, shapes: Shapes) -> str:
    """Why no block of assembly multiplies its weights."""
    if op.weight_bits != 8:
        return f"takes weights of 8 bits, these have {op.weight_bits}"
    if depth_of(op, shapes[0]) == 1:  # TVM drops loops of one turn
        return "needs two products or more to an output"
    return ""


def kernel(
    op: Conv2d, shapes: Shapes, packed: Constants, tile: Pair, block: Intrinsic | None
) -> TirKernel:
    """``packed``: constants with channels in multiples of the ``tile`` of (pixels, channels)."""
    _, oh, ow, oc = op.output_shape(*shapes)
    schedule = tir.schedule_of(_computation(op, shapes[0], (oh, ow, oc), packed, tile[0]))
    _schedule(schedule, op, tile, shapes[0][3], block)
    arguments = (*(f"x{i}" for i in range(len(shapes))), *packed, "y")
    used = (block,) if block else ()
    overlap = {0: tile_overlap(shapes[0], (oh, ow, oc), tile[0], op.window)}
    if op.add:  # behind the last pixel of a tile, the pixels before it are still read
        overlap[1] = (tile[0] - 1) * oc
    return TirKernel(schedule.mod["main"], arguments, packed, used, overlap)


def _lines(oh: int, ow: int, p: int) -> Pair:
    """Outputs as lines of pixels that divide into tiles, if rows, columns or all of them do.

    A line is a row of the map; the whole map, as one line, where rows would waste pixels.
    """
    return (oh, ow) if ow % p == 0 else (1, oh * ow)


def _gather(op: Conv2d, x: Any, width: int, pixels: int) -> Callable[[Any, Any, Any], Any]:
    """The k-th value under a pixel of a line of ``pixels``, 0 for those that fill up a tile."""
    channels = int(x.shape[3])
    run = op.window.kernel[1] * channels
    at = tir.padded(x, op.window.padding, tir.border(op.input_zero_point, "int16"), "int16")

    def gather(line: Any, pixel: Any, k: Any) -> Any:
        h, v = (line, pixel) if pixels == width else (pixel // width, pixel % width)
        return at(
            h * op.window.stride[0] + (k // run) * op.window.dilation[0],
            v * op.window.stride[1] + (k % run) // channels * op.window.dilation[1],
            k % channels,
        )

    return gather


def _computation(
    op: Conv2d, shape: Shape, output: Shape, packed: Constants, p: int
) -> tuple[Any, ...]:
    """Gather, product, requantization; rows and columns in multiples of the tile."""
    oh, ow, oc = output
    lines, pixels = _lines(oh, ow, p)
    rows = -(-pixels // p) * p
    x = te.placeholder(shape, "int8", name="x")
    w, b, m = (te.placeholder(a.shape, a.dtype.name, name=r) for r, a in packed.items())
    gather = _gather(op, x, ow, pixels)

    def filled(line: Any, pixel: Any, k: Any) -> Any:
        value = gather(line, pixel, k)
        if rows == pixels:
            return value
        return tirx.if_then_else(pixel < pixels, value, tir.const(0, "int16"))

    patch = te.compute((lines, rows, depth_of(op, shape)), filled, name="patch")
    k = te.reduce_axis((0, depth_of(op, shape)), "k")

    def product(h: Any, v: Any, o: Any) -> Any:
        weight = tir.narrow(lambda place: w[o, place], k, op.weight_bits)
        return te.sum(tir.int32(patch[h, v, k]) * weight, axis=k)

    acc = te.compute((lines, rows, w.shape[0]), product, name="acc")

    def result(h: Any, v: Any, o: Any) -> Any:
        return tir.requantized(acc[h, v, o] + b[o], m[o], op.requant)

    size = (lines, pixels, oc)
    if op.add is None:
        y = te.compute(size, lambda h, v, o: result(h, v, o).astype("int8"), name="y")
        return (x, w, b, m, y)
    add, term = op.add, te.compute((lines, rows, w.shape[0]), result, name="term")
    r = te.placeholder(size, "int8", name="r")
    y = te.compute(size, lambda h, v, o: sum_of(add, term[h, v, o], r[h, v, o]), name="y")
    return (x, r, w, b, m, y)


def _schedule(
    schedule: Any, op: Conv2d, tile: Pair, channels: int, block: Intrinsic | None
) -> None:
    """Tiles of pixels outside, tiles of channels inside; a row of patches per pixel tile."""
    _, pixel, channel = schedule.get_loops(schedule.get_sblock("y"))
    outer_pixel, inner_pixel = schedule.split(pixel, [None, tile[0]])
    outer_channel, inner_channel = schedule.split(channel, [None, tile[1]])
    schedule.reorder(outer_pixel, outer_channel, inner_pixel, inner_channel)
    product, patches = schedule.get_sblock("acc"), schedule.get_sblock("patch")
    if op.add:
        term = schedule.get_sblock("term")
        schedule.compute_at(term, outer_channel, preserve_unit_loops=True)
        for loop in schedule.get_loops(schedule.get_sblock("term"))[-2:]:
            schedule.unroll(loop)
    schedule.compute_at(product, outer_channel, preserve_unit_loops=True)
    schedule.compute_at(patches, outer_pixel, preserve_unit_loops=True)
    # Rows of the window outside the pixels of the tile: whether a row lies inside the map is
    # asked once for all of them. Runs are as long as they are contiguous.
    *_, pixels, depth = schedule.get_loops(patches)
    if op.window.dilation[1] == 1 and not (op.window.padding[1] or op.window.padding[3]):
        row, run = schedule.split(depth, [op.window.kernel[0], op.window.kernel[1] * channels])
        schedule.reorder(row, pixels, run)
    else:
        row, column, run = schedule.split(depth, [*op.window.kernel, channels])
        schedule.reorder(row, pixels, column, run)
    if block is None:
        schedule.decompose_reduction(product, schedule.get_loops(product)[-1])
        return
    schedule.storage_align(patches, 0, -2, dsp.GROUP, 0)
    tir.tensorize_tile(schedule, product, block.name, axes=2 if tile[0] == 1 else 3)
    schedule.unroll(inner_pixel)
    schedule.unroll(inner_channel)
