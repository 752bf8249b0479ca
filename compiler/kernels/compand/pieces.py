# SPDX-License-Identifier: Apache-2.0
"""Channel by channel, all samples of one after the other, so that what is known of a channel stays
in registers and its pieces are close together.

Differences of int16 have up to 16 bits. Beyond 32767 the result stays what it is there: a piece of
its own, flat, and no minimum has to be taken. A kernel says in which place a piece lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.ops.compand import MOST, OCTAVES, SHIFT, Compand

PIECES = OCTAVES + 1  # with that of more than MOST
ARGUMENTS = ("x0", "source", "offset", "slope", "base", "y")
Value = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """``place`` of an expression of a, uint32, counted from ``first``; ``places`` of the pieces, by
    bits of a; ``together``: samples that are taken in one turn of a loop."""

    place: Value
    places: np.ndarray
    first: int = 0
    together: int = 1

    def laid(self, constants: Constants) -> dict[str, np.ndarray]:
        """Slopes and bases where they are found; places of no piece are 0."""
        slope, base = (constants[role].astype(np.int64) for role in ("slope", "base"))
        end = base[:, -1] + MOST * slope[:, -1]
        slopes, bases = np.zeros((2, len(slope), int(self.places.max()) + 1), np.int32)
        slopes[:, self.places] = np.column_stack([slope, np.zeros_like(end)])
        bases[:, self.places] = np.column_stack([base, end])
        return {**constants, "slope": slopes, "base": bases}


def lowered(op: Compand, shapes: Shapes, constants: Constants, pieces: Pieces) -> TirKernel:
    """All channels of all places that are read, in one or two loops over time and width."""
    arrays = pieces.laid(constants) if op.segmented else dict(constants)
    _, height, width, channels = shapes[0]
    if op.step == 1:
        height, width = height * width, 1
    x = te.placeholder((height, width, channels), "int16", name="x")
    source, offset = (te.placeholder((op.filters,), "int16", name=n) for n in ("source", "offset"))
    flat = (arrays["slope"].size,)
    slope, base = (te.placeholder(flat, "int32", name=n) for n in ("slope", "base"))
    taken = te.compute((op.filters,), lambda k: tir.int32(source[k]), name="taken")
    middle = te.compute((op.filters,), lambda k: tir.int32(offset[k]), name="middle")
    sizes = (op.filters, -(-height // op.step), width)

    def difference(k: Any, h: Any, w: Any) -> Any:
        return tir.int32(x[h * op.step, w, taken[k]]) - middle[k]

    t = te.compute(sizes, difference, name="t")
    a = te.compute(sizes, lambda *at: tirx.Select(t[at] < 0, tir.const(0) - t[at], t[at]), name="a")
    known, found, level = levels(a, slope, base, pieces if op.segmented else None)

    def signed(h: Any, w: Any, k: Any) -> Any:
        value = tirx.Select(t[k, h, w] < 0, tir.const(0) - level[k, h, w], level[k, h, w])
        zero_point = tir.parameter("zero_point", op.zero_point)
        return tir.clamp(zero_point + value, *tir.INT8).astype("int8")

    y = te.compute((*sizes[1:], op.filters), signed, name="y")
    schedule = tir.schedule_of((x, source, offset, slope, base, y))
    h, w, k = schedule.get_loops(schedule.get_sblock("y"))
    schedule.reorder(k, h, w)
    turn = h if width == 1 else w
    together = pieces.together if sizes[1 if width == 1 else 2] % pieces.together == 0 else 1
    _, inner = schedule.split(turn, [None, together])
    last = w if width == 1 else inner
    for stage in (level, *found, a, t):
        schedule.compute_at(schedule.get_sblock(stage.op.name), last)
    for stage in (*known, middle, taken):
        schedule.compute_at(schedule.get_sblock(stage.op.name), k)
    schedule.unroll(inner)
    return TirKernel(schedule.mod["main"], ARGUMENTS, arrays)


def levels(
    a: Any, slope: Any, base: Any, pieces: Pieces | None
) -> tuple[list[Any], list[Any], Any]:
    """What is known of a channel, what is found of a value, and y; one line without ``pieces``."""
    channels = (int(a.shape[0]),)
    if pieces is None:
        factor = te.compute(channels, lambda k: slope[k], name="factor")
        start = te.compute(channels, lambda k: base[k], name="start")

        def straight(k: Any, h: Any, w: Any) -> Any:
            return (tirx.min(a[k, h, w], tir.const(MOST)) * factor[k] + start[k]) >> SHIFT

        return [factor, start], [], te.compute(a.shape, straight, name="level")
    columns = int(slope.shape[0]) // channels[0]
    first = te.compute(channels, lambda k: k * columns - pieces.first, name="first")

    def place(k: Any, h: Any, w: Any) -> Any:
        return first[k] + pieces.place(a[k, h, w].astype("uint32"))

    piece = te.compute(a.shape, place, name="piece")

    def segmented(*at: Any) -> Any:
        return (a[at] * slope[piece[at]] + base[piece[at]]) >> SHIFT

    return [first], [piece], te.compute(a.shape, segmented, name="level")


__all__ = ["PIECES", "Pieces", "lowered"]
