# SPDX-License-Identifier: Apache-2.0
"""A border of one value round a map, int8, NHWC; input and output share scale and zero point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Operator
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import Constants
from tinytailor.compiler.ops.traits.keys import ZERO_POINT, named
from tinytailor.compiler.ops.traits.neighbours import Surround
from tinytailor.compiler.ops.traits.ranges import Range, Ranges
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel
    from tinytailor.compiler.kernels.bricks.tir import Moves

Sides = tuple[int, int, int]  # rows, columns, channels


def sides(value: Iterable[Any]) -> Sides:
    rows, columns, channels = map(int, value)
    return rows, columns, channels


SIDES = named(sides, list)


@dataclass(frozen=True, slots=True)
class Pad(Operator):
    """``before`` and ``after``: added rows, columns and channels; ``value``: what they hold."""

    kind: ClassVar[str] = "pad"
    in_place: ClassVar[bool] = False

    before: Sides = field(metadata=SIDES)
    after: Sides = field(metadata=SIDES)
    value: int = field(default=0, metadata=ZERO_POINT)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or x[0] != 1:
            raise InputError(f"pad: input shape {x}, expected (1, height, width, channels)")
        if min(*self.before, *self.after) < 0:
            raise InputError(
                f"pad: {self.before} before and {self.after} after, expected 0 or more"
            )
        sizes = zip(self.before, x[1:], self.after, strict=True)
        return (1, *(sum(size) for size in sizes))

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        around = ((0, 0), *zip(self.before, self.after, strict=True))
        return np.pad(inputs[0], around, constant_values=np.int8(self.value))

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        (x,), sides = reads, (self.before[2], self.after[2])
        padded = Range(*(np.pad(end, sides, constant_values=self.value) for end in (x.low, x.high)))
        spatial = any((*self.before[:2], *self.after[:2]))
        return padded.widened(self.value) if spatial else padded

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return None if self.before[2] or self.after[2] else linked(*inputs, output=inputs[0])

    def identity(self, inputs: Inputs, constants: Constants) -> str:
        return "" if any((*self.before, *self.after)) else "it adds nothing"

    def surround(self) -> Surround:
        (top, left, first), (bottom, right, last) = self.before, self.after
        return Surround((top, left, bottom, right), self.value, channels=bool(first or last))

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """Rows are copied whole where no channels are added, else pixel by pixel."""
        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        _, height, width, channels = inputs[0]
        y = self.output_shape(*inputs)
        row, pixel = y[2] * y[3], y[3]
        top, left, first = self.before[0] * row, self.before[1] * pixel, self.before[2]

        def pixels(moves: Moves, start: Any, source: Any) -> None:
            if pixel == channels:
                moves.copy(start, 0, source, width * channels)
                return
            with moves.repeat(width) as w:
                moves.fill(start + w * pixel, self.value, first)
                moves.copy(start + w * pixel + first, 0, source + w * channels, channels)
                end = start + w * pixel + first + channels
                moves.fill(end, self.value, self.after[2])

        def body(moves: Moves) -> None:
            moves.fill(0, self.value, top)
            with moves.repeat(height) as h:
                moves.fill(top + h * row, self.value, left)
                pixels(moves, top + h * row + left, h * width * channels)
                end = top + h * row + left + width * pixel
                moves.fill(end, self.value, self.after[1] * pixel)
            moves.fill(top + height * row, self.value, self.after[0] * row)

        return TirKernel(tir.moves((prod(inputs[0]), prod(y)), body), ("x0", "y"), {})
