# SPDX-License-Identifier: Apache-2.0
"""Pixel by pixel: its window gathered as int8, then four channels at a time with VMLADAV.

A 1 x 1 window is read where it lies, if that costs no distance between the maps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.addition import sum_of
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import first_reads, overlap_distance
from tinytailor.compiler.kernels.conv2d.gathered import block_limits, depth_of
from tinytailor.compiler.kernels.isa import mve, mve_requant
from tinytailor.compiler.kernels.variant import MVE, Variant
from tinytailor.compiler.ops.conv2d import Conv2d


def lower(op: Conv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    shape, oc = shapes[0], op.out_channels
    depth = depth_of(op, shape)
    weight = mve.pack_dot_weights(constants["weight"].reshape(oc, depth))
    more = len(weight) - oc
    packed = {
        "weight": weight,
        "bias": np.pad(constants["bias"], (0, more)),
        "multiplier": np.pad(constants["multiplier"], (0, more)),
    }
    output = op.output_shape(*shapes)
    direct = _reads_in_place(op, shape, output)
    schedule = _computation(op, shape, output, packed, direct)
    product = schedule.get_sblock("acc")
    *_, pixel, channel = schedule.get_loops(schedule.get_sblock("y"))
    outer, inner = schedule.split(channel, [None, mve.CHANNELS])
    schedule.compute_at(product, outer, preserve_unit_loops=True)
    if not direct:
        _gather(schedule, op, shape[3], pixel)
    blocks = [mve.dot_block(depth)]
    tir.tensorize_tile(schedule, product, blocks[0].name, axes=2)
    if more:
        schedule.unroll(inner)
    else:
        blocks += mve_requant.finish(schedule, mve.CHANNELS, op.requant, op.add)
    overlap = {0: _overlap(op, shape, output, direct)}
    if op.add:
        overlap[1] = 0  # each element is read before its place is written
    arguments = (*(f"x{i}" for i in range(len(shapes))), *packed, "y")
    return TirKernel(schedule.mod["main"], arguments, packed, tuple(blocks), overlap)


def _reads_in_place(op: Conv2d, shape: Shape, output: Shape) -> bool:
    """Whether pixels are read where they lie, not gathered.

    Not where a gathered pixel could be overwritten at once, with the output right over the input:
    reading in place keeps them a pixel apart, which adds up over a chain of layers.
    """
    if op.window.kernel != (1, 1) or op.window.bordered:
        return False
    return output[1:3] == (1, 1) or _overlap(op, shape, output, direct=False) > 0


def _computation(op: Conv2d, shape: Shape, output: Shape, packed: Constants, direct: bool) -> Any:
    _, oh, ow, oc = output
    channels, run = shape[3], op.window.kernel[1] * shape[3]
    depth = op.window.kernel[0] * run
    x = te.placeholder(shape, "int8", name="x")
    w, b, m = (te.placeholder(a.shape, a.dtype.name, name=role) for role, a in packed.items())
    at = tir.padded(x, op.window.padding, tir.border(op.input_zero_point, "int8"))
    (sh, sw), (dh, dw) = op.window.stride, op.window.dilation

    def gather(h: Any, v: Any, k: Any) -> Any:
        return at(h * sh + k // run * dh, v * sw + k % run // channels * dw, k % channels)

    patch = None if direct else te.compute((oh, ow, depth), gather, name="patch")
    k = te.reduce_axis((0, depth), "k")

    def dot(h: Any, v: Any, o: Any) -> Any:
        value = x[0, h * sh, v * sw, k] if patch is None else patch[h, v, k]
        return te.sum(tir.int32(value) * tir.int32(w[o, k]), axis=k)

    acc = te.compute((oh, ow, len(packed["weight"])), dot, name="acc")
    r = te.placeholder((oh, ow, oc), "int8", name="r")

    def stored(h: Any, v: Any, o: Any) -> Any:
        value = tir.requantize(acc[h, v, o] + b[o], m[o], op.requant)
        return sum_of(op.add, value, r[h, v, o]) if op.add else value

    y = te.compute((oh, ow, oc), stored, name="y")
    return tir.schedule_of((x, *((r,) if op.add else ()), w, b, m, y))


def _gather(schedule: Any, op: Conv2d, channels: int, pixel: Any) -> None:
    """The window of a pixel in pieces as long as they are contiguous."""
    patch = schedule.get_sblock("patch")
    schedule.compute_at(patch, pixel, preserve_unit_loops=True)
    depth = schedule.get_loops(patch)[-1]
    if op.window.dilation[1] == 1 and not (op.window.padding[1] or op.window.padding[3]):
        schedule.split(depth, [op.window.kernel[0], op.window.kernel[1] * channels])
    else:
        schedule.split(depth, [*op.window.kernel, channels])


def _overlap(op: Conv2d, shape: Shape, output: Shape, direct: bool) -> int:
    """A gathered pixel is read before it is written, another one is read until it is written."""
    _, oh, ow, oc = output
    pixels = np.arange(oh * ow)
    reads = first_reads(shape, pixels, ow, op.window)
    written = (pixels + 1) * oc
    if direct:
        return overlap_distance(np.append(reads[0], reads), np.append(written, written[-1]))
    return overlap_distance(reads, written)


VARIANT = Variant("mve_dot", lower, MVE, block_limits)
