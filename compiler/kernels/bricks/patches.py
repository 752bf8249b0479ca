# SPDX-License-Identifier: Apache-2.0
"""Convolutions that differ only in where a tap reads: groups, transposed, deformable.

    patch[g, v, k] = the k-th value under output pixel v in group g     int16, a tile of pixels
    acc[g, v, o]   = sum_k patch[g, v, k] * weight[g, o, k]
    y[v, g, o]     = requant(acc[g, v, o] + bias[g, o], multiplier[g, o])

All groups of a tile of pixels are gathered before one of them is multiplied, so an output may lie
over an input that has been read. Pixels of a line that are ``phases`` apart share their weights: a
transposed convolution of stride 2 is four small convolutions, one for each parity of (row, column).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic, TirKernel
from tinytailor.compiler.kernels.isa import dsp
from tinytailor.compiler.ops.window import Pair
from tinytailor.compiler.requantization import Requant

PLAIN = (1, 1)  # the tile of one pixel and one channel, without a block of assembly


@dataclass(frozen=True, slots=True)
class Patches:
    """Sizes: ``output`` pixels, ``taps`` under one of them with ``channels`` each in a group."""

    output: Pair
    groups: int
    out_channels: int  # of a group
    taps: Pair
    channels: int  # of a group
    phases: Pair = (1, 1)

    @property
    def depth(self) -> int:
        return self.taps[0] * self.taps[1] * self.channels

    @property
    def tile(self) -> Pair:
        """(pixels, channels) of a block of assembly."""
        pixels = self.output[0] * self.output[1] if self.phases == (1, 1) else self.in_phase
        if pixels > 1 and not self.cut:
            return (2, 2)
        return (1, 4) if self.out_channels > 2 else (1, 2)

    @property
    def cut(self) -> bool:
        """Whether the last pixels of a row lack some phases, so that tiles would be cut too."""
        return self.output[1] % self.phases[1] > 0

    @property
    def in_phase(self) -> int:
        """Pixels of a row that share their weights."""
        return -(-self.output[1] // self.phases[1])

    def lines(self, p: int) -> Pair:
        """Lines of pixels that divide into tiles: rows, or the whole map as one line."""
        height, width = self.output
        return (1, height * width) if width % p and self.phases == (1, 1) else (height, width)


def block_limits(sizes: Patches) -> str:
    """Why no block of assembly multiplies the patches."""
    # TVM drops loops of one turn
    return "needs two products or more to an output" if sizes.depth == 1 else ""


# (row, phase, column of the phase, group, place in the patch) to an int16 value; the last argument
# gives the i-th of the numbers prepared for this pixel.
Gather = Callable[[Any, Any, Any, Any, Any, Callable[[Any], Any]], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """``count`` int32 numbers per pixel that are computed once, before it is gathered."""

    count: int
    value: Callable[[Any, Any, Any], Any]  # (row, column, i)


def patch_kernel(
    sizes: Patches,
    inputs: Sequence[Any],
    gather: Gather,
    constants: Mapping[str, np.ndarray],
    requant: Requant,
    overlap: Mapping[int, int],
    tile: Pair,
    prepared: Prepared | None = None,
) -> TirKernel:
    """``inputs``: placeholders of what ``gather`` reads, by the names of the kernel's arguments.

    ``tile``: ``sizes.tile`` for a block of assembly, ``PLAIN`` for loops.

    ``constants``: weight (phases * phases * groups, out_channels, depth), bias without depth and
    multiplier (groups, out_channels), and the arrays of further ``inputs``.
    """
    packed = {**constants, **_packed(sizes, constants, tile)}
    placeholders = {
        role: te.placeholder(packed[role].shape, packed[role].dtype.name, name=role)
        for role in ("weight", "bias", "multiplier")
    }
    patch = _patch(sizes, tile[0], gather, prepared)
    y = _computation(sizes, tile[0], patch, placeholders, requant)
    schedule = tir.schedule_of((*inputs, *placeholders.values(), y))
    block = dsp.matmul_block(*tile, sizes.depth) if tile[1] > 1 else None
    _schedule(schedule, sizes, tile, prepared is not None, block)
    arguments = (*(str(item.op.name) for item in inputs), *placeholders, "y")
    used = (block,) if block else ()
    return TirKernel(schedule.mod["main"], arguments, packed, used, overlap)


def _packed(
    sizes: Patches, constants: Mapping[str, np.ndarray], tile: Pair
) -> dict[str, np.ndarray]:
    """Channels of each group in multiples of the tile, weights in the order of its loads."""
    channels = sizes.out_channels
    columns = -(-channels // tile[1]) * tile[1]
    weight = constants["weight"].reshape(-1, channels, sizes.depth)
    if tile[1] > 1:
        weight = np.stack([dsp.pack_weights(matrix, columns) for matrix in weight])
    more = ((0, 0), (0, columns - channels))
    return {
        "weight": np.ascontiguousarray(weight),
        "bias": np.pad(constants["bias"].reshape(-1, channels), more),
        "multiplier": np.pad(constants["multiplier"].reshape(-1, channels), more),
    }


def _patch(sizes: Patches, p: int, gather: Gather, prepared: Prepared | None) -> Any:
    """What lies under the pixels of a line, in multiples of the tile."""
    lines, pixels = sizes.lines(p)
    width, phases = sizes.output[1], sizes.phases[1]
    flat = (lines, pixels) != sizes.output
    in_phase = -(-pixels // phases)
    rows = -(-in_phase // p) * p

    def guarded(line: Any, v: Any, take: Callable[[Any, Any], Any], dtype: str) -> Any:
        """``take(row, column)`` for the pixels of the map, 0 for those that fill up a tile."""
        taken = take(*((v // width, v % width) if flat else (line, v)))
        if rows == in_phase:
            return taken
        return tirx.if_then_else(v < in_phase, taken, tir.const(0, dtype))

    numbers = None
    if prepared is not None:
        value = prepared.value
        numbers = te.compute(
            (lines, rows, prepared.count),
            lambda line, v, i: guarded(line, v, lambda h, w: value(h, w, i), "int32"),
            name="prepared",
        )

    def patch_value(line: Any, r: Any, g: Any, v: Any, k: Any) -> Any:
        def number(i: Any) -> Any:
            assert numbers is not None
            return numbers[line, v, i]

        return guarded(line, v, lambda h, w: gather(h, r, w, g, k, number), "int16")

    return te.compute((lines, phases, sizes.groups, rows, sizes.depth), patch_value, name="patch")


def _computation(
    sizes: Patches, p: int, patch: Any, constants: Mapping[str, Any], requant: Requant
) -> Any:
    """Product and requantization; pixels of a line in multiples of the tile."""
    w, b, m = constants.values()
    lines, pixels = sizes.lines(p)
    groups, (row_phases, phases) = sizes.groups, sizes.phases
    rows = int(patch.shape[3])

    def matrix(line: Any, r: Any, g: Any) -> Any:
        return (line % row_phases * phases + r) * groups + g

    k = te.reduce_axis((0, sizes.depth), "k")

    def product(line: Any, r: Any, g: Any, v: Any, o: Any) -> Any:
        weight = w[matrix(line, r, g), o, k]
        return te.sum(tir.int32(patch[line, r, g, v, k]) * tir.int32(weight), axis=k)

    acc = te.compute((lines, phases, groups, rows, int(w.shape[1])), product, name="acc")

    def requantized(line: Any, v: Any, r: Any, g: Any, o: Any) -> Any:
        total = acc[line, r, g, v, o] + b[matrix(line, r, g), o]
        return tir.requantize(total, m[g, o], requant)

    def cut(line: Any, pixel: Any, g: Any, o: Any) -> Any:
        return requantized(line, pixel // phases, pixel % phases, g, o)

    if sizes.cut:
        return te.compute((lines, pixels, groups, sizes.out_channels), cut, name="y")
    shape = (lines, -(-pixels // phases), phases, groups, sizes.out_channels)
    return te.compute(shape, requantized, name="y")


def _schedule(
    schedule: Any,
    sizes: Patches,
    tile: Pair,
    prepared: bool,
    block: Intrinsic | None,
) -> None:
    """Tiles of pixels outside, groups and tiles of their channels inside."""
    _, pixel, *phases, group, channel = schedule.get_loops(schedule.get_sblock("y"))
    (phase,) = phases or (None,)
    if phase is None:
        pixel, phase = schedule.split(pixel, [None, sizes.phases[1]])
    outer, inner = schedule.split(pixel, [None, tile[0]])
    outer_channel, inner_channel = schedule.split(channel, [None, tile[1]])
    schedule.reorder(outer, phase, group, outer_channel, inner, inner_channel)
    product, patches = schedule.get_sblock("acc"), schedule.get_sblock("patch")
    schedule.compute_at(product, outer_channel, preserve_unit_loops=True)
    schedule.compute_at(patches, phase, preserve_unit_loops=True)
    if prepared:
        schedule.compute_at(schedule.get_sblock("prepared"), phase, preserve_unit_loops=True)
    # Whether a row of the window lies inside the map is asked once for all pixels of the tile.
    *_, groups, pixels, depth = schedule.get_loops(patches)
    row, column, run = schedule.split(depth, [*sizes.taps, sizes.channels])
    schedule.reorder(row, pixels, column, groups, run)
    if block is None:
        schedule.decompose_reduction(product, schedule.get_loops(product)[-1])
        return
    schedule.storage_align(patches, 0, -2, dsp.GROUP, 0)
    tir.tensorize_tile(schedule, product, block.name, axes=2 if tile[0] == 1 else 3)
    schedule.unroll(inner)
    schedule.unroll(inner_channel)
