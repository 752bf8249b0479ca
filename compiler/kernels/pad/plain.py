# SPDX-License-Identifier: Apache-2.0
"""Rows are copied whole where no channels are added, else pixel by pixel."""

from __future__ import annotations

from math import prod
from typing import Any

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.pad import Pad


def lower(op: Pad, shapes: Shapes, constants: Constants) -> TirKernel:
    _, height, width, channels = shapes[0]
    y = op.output_shape(*shapes)
    row, pixel = y[2] * y[3], y[3]
    top, left, first = op.before[0] * row, op.before[1] * pixel, op.before[2]

    def pixels(moves: tir.Moves, start: Any, source: Any) -> None:
        if pixel == channels:
            moves.copy(start, 0, source, width * channels)
            return
        with moves.repeat(width) as w:
            moves.fill(start + w * pixel, op.value, first)
            moves.copy(start + w * pixel + first, 0, source + w * channels, channels)
            end = start + w * pixel + first + channels
            moves.fill(end, op.value, op.after[2])

    def body(moves: tir.Moves) -> None:
        moves.fill(0, op.value, top)
        with moves.repeat(height) as h:
            moves.fill(top + h * row, op.value, left)
            pixels(moves, top + h * row + left, h * width * channels)
            end = top + h * row + left + width * pixel
            moves.fill(end, op.value, op.after[1] * pixel)
        moves.fill(top + height * row, op.value, op.after[0] * row)

    return TirKernel(tir.moves((prod(shapes[0]), prod(y)), body), ("x0", "y"), {})


VARIANT = Variant("plain", lower)
