# SPDX-License-Identifier: Apache-2.0
"""A rectangular part of an int8 tensor, quantized like it: y[i, j, ...] = x[begin0 + i, ...]."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, linked
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBERS
from tinytailor.compiler.ops.traits.neighbours import View
from tinytailor.compiler.ops.traits.ranges import Range, Ranges
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Slice(Operator):
    """``begin`` and ``size`` for every axis of the NHWC map or of the row, the batch included."""

    kind: ClassVar[str] = "slice"

    begin: tuple[int, ...] = field(metadata=NUMBERS)
    size: tuple[int, ...] = field(metadata=NUMBERS)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        fits = len(x) == len(self.begin) == len(self.size) and all(
            begin >= 0 and 1 <= size <= whole - begin
            for begin, size, whole in zip(self.begin, self.size, x, strict=True)
        )
        if not fits or self.size[0] != x[0]:
            raise InputError(
                f"slice: {self.size} from {self.begin} does not lie within shape {x}, whole batch"
            )
        return self.size

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        parts = zip(self.begin[1:], self.size[1:], strict=True)
        return inputs[0][(slice(None), *(slice(b, b + n) for b, n in parts))]

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        taken = slice(self.begin[-1], self.begin[-1] + self.size[-1])
        return Range(reads[0].low[taken], reads[0].high[taken])

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0]) if self.size[-1] == inputs[0][-1] else None

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Slice, Constants]:
        return replace(self, size=(*self.size[:-1], fewer.count)), constants

    def view(self, *inputs: Shape) -> View | str:
        start = run_start(inputs[0], self.begin, self.size)
        return "what it takes is not in one piece" if start is None else View(output_at=start)

    def identity(self, inputs: Shapes, constants: Constants) -> str:
        return "it takes all" if inputs[0] == self.size else ""

    @classmethod
    def examples(cls) -> Examples:
        return {
            "slice_rows": (cls((0, 2, 0, 0), (1, 3, 4, 5)), one_map(6, 4, 5)),
            "slice_channels": (cls((0, 0, 0, 3), (1, 4, 3, 5)), one_map(4, 3, 8)),
            "slice_one_channel": (cls((0, 0, 0, 7), (1, 4, 3, 1)), one_map(4, 3, 8)),
            "slice_everywhere": (cls((0, 1, 2, 3), (1, 4, 3, 2)), one_map(6, 5, 7)),
            "slice_features": (cls((0, 5), (1, 9)), ((1, 20),)),
        }


def run_start(shape: Shape, begin: Shape, size: Shape) -> int | None:
    """Offset of a slice that is contiguous in its input; None for others.

    It is so if all axes before the first partial one have one element left, and all after it whole.
    """
    partial = [i for i, (taken, whole) in enumerate(zip(size, shape, strict=True)) if taken < whole]
    if partial and prod(size[: partial[-1]]) != 1:
        return None
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    return sum(b * stride for b, stride in zip(begin, strides, strict=True))
