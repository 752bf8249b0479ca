# SPDX-License-Identifier: Apache-2.0
"""Schedules of convolutions for MVE: what ``lower`` of their operators returns for that set.

    conv2d       pixel by pixel: gather its window as int8, then four channels at a time
    1 x 1        as above, read where it lies if that costs no distance between the maps
    depthwise    16 or 8 channels of a pixel at a time; None where channels do not divide by 8

The operators' own schedules serve the shapes that are left: MVE comes with the DSP extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import te

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import Sliding, TirKernel
from tinytailor.compiler.kernels.isa import mve, mve_requant
from tinytailor.compiler.ops.geometry import first_reads, overlap_distance
from tinytailor.compiler.requantization import Requant

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.isa.dsp import Intrinsic
    from tinytailor.compiler.ops.add import Add
    from tinytailor.compiler.ops.conv2d import Conv2d
    from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d


def lower_conv2d(
    op: Conv2d, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray]
) -> TirKernel | None:
    """None for a single product: loops of one turn leave nothing to match."""
    shape, oc = inputs[0], op.out_channels
    depth = op.kernel[0] * op.kernel[1] * shape[3]
    if depth == 1:
        return None
    weight = mve.pack_dot_weights(constants["weight"].reshape(oc, depth))
    more = len(weight) - oc
    packed = {
        "weight": weight,
        "bias": np.pad(constants["bias"], (0, more)),
        "multiplier": np.pad(constants["multiplier"], (0, more)),
    }
    output = inputs[1] if op.add else op.output_shape(*inputs)
    direct = _reads_in_place(op, shape, output)
    schedule = _conv2d_computation(op, shape, output, packed, direct)
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
        blocks += _store(schedule, mve.CHANNELS, op.requant, op.add)
    overlap = {0: _conv2d_overlap(op, shape, output, direct)}
    if op.add:
        overlap[1] = 0  # each element is read before its place is written
    arguments = (*(f"x{i}" for i in range(len(inputs))), *packed, "y")
    return TirKernel(schedule.mod["main"], arguments, packed, tuple(blocks), overlap)


def _reads_in_place(op: Conv2d, shape: Shape, output: Shape) -> bool:
    """Whether pixels are read where they lie, not gathered.

    Not where a gathered pixel could be overwritten at once, with the output right over the input:
    reading in place keeps them a pixel apart, which adds up over a chain of layers.
    """
    if op.kernel != (1, 1) or any(op.padding):
        return False
    return output[1:3] == (1, 1) or _conv2d_overlap(op, shape, output, direct=False) > 0


def _conv2d_computation(
    op: Conv2d, shape: Shape, output: Shape, packed: Mapping[str, np.ndarray], direct: bool
) -> Any:
    _, oh, ow, oc = output
    channels, run = shape[3], op.kernel[1] * shape[3]
    depth = op.kernel[0] * run
    x = te.placeholder(shape, "int8", name="x")
    w, b, m = (te.placeholder(a.shape, a.dtype.name, name=role) for role, a in packed.items())
    at = tir.padded(x, op.padding, tir.border(op.input_zero_point, "int8"))
    (sh, sw), (dh, dw) = op.stride, op.dilation

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
        return op.add.expression(value, r[h, v, o]) if op.add else value

    y = te.compute((oh, ow, oc), stored, name="y")
    return tir.schedule_of((x, *((r,) if op.add else ()), w, b, m, y))


def _gather(schedule: Any, op: Conv2d, channels: int, pixel: Any) -> None:
    """The window of a pixel in pieces as long as they are contiguous."""
    patch = schedule.get_sblock("patch")
    schedule.compute_at(patch, pixel, preserve_unit_loops=True)
    depth = schedule.get_loops(patch)[-1]
    if op.dilation[1] == 1 and not (op.padding[1] or op.padding[3]):
        schedule.split(depth, [op.kernel[0], op.kernel[1] * channels])
    else:
        schedule.split(depth, [*op.kernel, channels])


def _store(schedule: Any, lanes: int, q: Requant, add: Add | None = None) -> list[Intrinsic]:
    """The blocks that finish ``lanes`` channels; the last one stands for all of it."""
    blocks = [mve_requant.requant_block(lanes, q)]
    if add is not None:
        blocks.append(mve_requant.requant_add_block(lanes, q, add))
    schedule.tensorize(schedule.get_loops(schedule.get_sblock("y"))[-1], blocks[-1].name)
    return blocks


def _conv2d_overlap(op: Conv2d, shape: Shape, output: Shape, direct: bool) -> int:
    """A gathered pixel is read before it is written, another one is read until it is written."""
    _, oh, ow, oc = output
    pixels = np.arange(oh * ow)
    reads = first_reads(shape, pixels, ow, op.stride, op.padding)
    written = (pixels + 1) * oc
    if direct:
        return overlap_distance(np.append(reads[0], reads), np.append(written, written[-1]))
    return overlap_distance(reads, written)


def lower_depthwise(
    op: DepthwiseConv2d, shape: Shape, constants: Mapping[str, np.ndarray]
) -> TirKernel | None:
    lanes = mve.window_lanes(shape[3])
    if lanes is None or op.dilation != (1, 1) or min(op.kernel) == 1:
        return None
    channels = shape[3]
    bordered = any(op.padding)
    row = (op._touched(shape)[1] if bordered else shape[2]) * channels
    packed = {
        "weight": mve.pack_window_weights(constants["weight"], lanes),
        "bias": constants["bias"],
        "multiplier": constants["multiplier"],
    }
    schedule = _window_computation(op, shape, packed, lanes)
    window, rows = schedule.get_sblock("acc"), schedule.get_sblock("rows")
    line, _, group, _ = schedule.get_loops(schedule.get_sblock("y"))
    schedule.compute_at(window, group, preserve_unit_loops=True)
    if bordered:
        schedule.compute_at(rows, line)
    else:
        schedule.compute_inline(rows)
    block = mve.window_block(op.kernel, row, channels, lanes)
    clear = schedule.decompose_reduction(window, schedule.get_loops(window)[-3])
    schedule.unroll(schedule.get_loops(clear)[-1])
    update = schedule.get_sblock("acc_update")
    schedule.tensorize(schedule.get_loops(update)[-3], block.name)
    blocks = (block, *_store(schedule, lanes, op.requant))
    sliding = Sliding("rows", op._span, op.stride[0]) if op._slides(shape) else None
    overlap = {0: op._overlap(shape)}
    arguments = ("x0", *packed, "y")
    return TirKernel(schedule.mod["main"], arguments, packed, blocks, overlap, sliding)


def _window_computation(
    op: DepthwiseConv2d, shape: Shape, packed: Mapping[str, np.ndarray], lanes: int
) -> Any:
    """As the operator's own, with channels as groups of lanes."""
    _, oh, ow, channels = op.output_shape(shape)
    x = te.placeholder(shape, "int8", name="x")
    w, b, m = (te.placeholder(a.shape, a.dtype.name, name=role) for role, a in packed.items())
    border = tir.padded(x, op.padding, tir.border(op.input_zero_point, "int8"))
    rows = te.compute((*op._touched(shape), channels), border, name="rows")
    i, j = (te.reduce_axis((0, n), name) for n, name in zip(op.kernel, "ij", strict=True))

    def window(h: Any, v: Any, g: Any, c: Any) -> Any:
        value = rows[h * op.stride[0] + i, v * op.stride[1] + j, g * lanes + c]
        return te.sum(tir.int32(value) * tir.int32(w[g, i, j, c]), axis=[i, j])

    size = (oh, ow, channels // lanes, lanes)
    acc = te.compute(size, window, name="acc")

    def output(h: Any, v: Any, g: Any, c: Any) -> Any:
        channel = g * lanes + c
        return tir.requantize(acc[h, v, g, c] + b[channel], m[channel], op.requant)

    return tir.schedule_of((x, w, b, m, te.compute(size, output, name="y")))
