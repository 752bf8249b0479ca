# SPDX-License-Identifier: Apache-2.0
"""Elements of an int8 tensor by their place along some axes, for the axes 1 and 2 of a map:

    y[0, h, w, c] = x[0, index1[h], index2[w], c]

A nearest resize, a slice with steps, a reversal, a border that mirrors or repeats the edge and a
repetition are all of this kind; they differ in the tables ``index<axis>`` only. The tables decide
how near the output may lie to the input, and nothing else of the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, places
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBERS
from tinytailor.compiler.ops.traits.ranges import Range, Ranges
from tinytailor.targets.errors import InputError

MAX_SIZE = 1 << 15  # of an axis, so that places along it fit int16


@dataclass(frozen=True, slots=True)
class Take(Operator):
    """``axes``, rising and without the batch, get the ``sizes`` of their tables."""

    kind: ClassVar[str] = "take"
    in_place: ClassVar[bool] = False
    placed_by_constants: ClassVar[bool] = True

    axes: tuple[int, ...] = field(metadata=NUMBERS)
    sizes: tuple[int, ...] = field(metadata=NUMBERS)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        rising = all(0 < a < len(x) for a in self.axes) and sorted(set(self.axes)) == [*self.axes]
        if not rising or len(self.axes) != len(self.sizes):
            raise InputError(f"take: axes {self.axes} of shape {x}, expected 1 to {len(x) - 1}")
        shape = list(x)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            if not 1 <= size <= MAX_SIZE or x[axis] > MAX_SIZE:
                raise InputError(f"take: {size} of {x[axis]} elements, expected up to {MAX_SIZE}")
            shape[axis] = size
        return tuple(shape)

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        pairs = zip(self.axes, self.sizes, strict=True)
        return {f"index{axis}": places(size, inputs[0][axis]) for axis, size in pairs}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        y = inputs[0]
        for axis in self.axes:
            y = y.take(constants[f"index{axis}"], axis=axis)
        return y

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        (x,), last = reads, len(inputs[0]) - 1
        if last not in self.axes:
            return x
        taken = constants[f"index{last}"]
        return Range(x.low[taken], x.high[taken])

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        taken = len(inputs[0]) - 1 in self.axes
        return None if taken else linked(*inputs, output=inputs[0])

    @classmethod
    def examples(cls) -> Examples:
        return {
            "take_rows_and_columns": (cls((1, 2), (8, 5)), one_map(4, 3, 6)),
            "take_columns": (cls((2,), (3,)), one_map(4, 7, 8)),
            "take_channels": (cls((3,), (5,)), one_map(4, 3, 8)),
            "take_everywhere": (cls((1, 2, 3), (3, 4, 5)), one_map(4, 3, 8)),
            "take_features": (cls((1,), (15,)), ((1, 10),)),
        }
