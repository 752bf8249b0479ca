# SPDX-License-Identifier: Apache-2.0
"""A border of one value round a map, int8, NHWC; input and output share scale and zero point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import ZERO_POINT, named
from tinytailor.compiler.ops.traits.neighbours import Surround
from tinytailor.compiler.ops.traits.ranges import Range, Ranges
from tinytailor.compiler.ops.window import check_map
from tinytailor.targets.errors import InputError

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
        check_map(self.kind, x)
        if min(*self.before, *self.after) < 0:
            raise InputError(
                f"pad: {self.before} before and {self.after} after, expected 0 or more"
            )
        sizes = zip(self.before, x[1:], self.after, strict=True)
        return (1, *(sum(size) for size in sizes))

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        around = ((0, 0), *zip(self.before, self.after, strict=True))
        return np.pad(inputs[0], around, constant_values=np.int8(self.value))

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        (x,), sides = reads, (self.before[2], self.after[2])
        padded = Range(*(np.pad(end, sides, constant_values=self.value) for end in (x.low, x.high)))
        spatial = any((*self.before[:2], *self.after[:2]))
        return padded.widened(self.value) if spatial else padded

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return None if self.before[2] or self.after[2] else linked(*inputs, output=inputs[0])

    def identity(self, inputs: Shapes, constants: Constants) -> str:
        return "" if any((*self.before, *self.after)) else "it adds nothing"

    def surround(self) -> Surround:
        (top, left, first), (bottom, right, last) = self.before, self.after
        return Surround((top, left, bottom, right), self.value, channels=bool(first or last))

    @classmethod
    def examples(cls) -> Examples:
        return {
            "pad": (cls((1, 2, 0), (0, 1, 0)), one_map(4, 3, 8)),
            "pad_channels": (cls((0, 1, 4), (1, 0, 3)), one_map(3, 4, 5)),
        }
