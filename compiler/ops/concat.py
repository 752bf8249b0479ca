# SPDX-License-Identifier: Apache-2.0
"""Concatenation along one axis, int8. All inputs and the output share scale and zero point, so the
bytes are copied: runs of each input in turn, as often as the axes before ``axis`` ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import prod
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import ALL, Channels, Link, linked
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import NUMBER
from tinytailor.compiler.ops.traits.neighbours import View
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, enclosing
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Concat(Operator):
    """``axis``: of the NHWC map or of the row, 1 or more."""

    kind: ClassVar[str] = "concat"
    in_place: ClassVar[bool] = False

    axis: int = field(metadata=NUMBER)

    def output_shape(self, *inputs: Shape) -> Shape:
        axis, first = self.axis, inputs[0]
        if not 0 < axis < len(first):
            raise InputError(
                f"concat: axis {axis} of shape {first}, expected 1 to {len(first) - 1}"
            )
        around = {(*shape[:axis], 0, *shape[axis + 1 :]) for shape in inputs}
        if len(around) > 1:
            raise InputError(f"concat: shapes {inputs} differ in more than axis {axis}")
        return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        return np.concatenate(inputs, axis=self.axis)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        if self._along_channels(inputs):
            ends = ([x.low for x in reads], [x.high for x in reads])
            return Range(*(np.concatenate(end) for end in ends))
        return enclosing(*(end for x in reads for end in (x.low, x.high)))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        if not self._along_channels(inputs):
            return linked(*inputs, output=inputs[0])
        starts = accumulate((shape[-1] for shape in inputs), initial=0)
        return tuple(Link(i, ALL, slice(*part)) for i, part in enumerate(pairwise(starts)))

    def _along_channels(self, inputs: Shapes) -> bool:
        return self.axis == len(inputs[0]) - 1

    def view(self, *inputs: Shape) -> View | str:
        """Along the first long axis the inputs are made where they belong."""
        if prod(inputs[0][: self.axis]) != 1:
            return "its inputs alternate in memory"
        *starts, _ = accumulate(map(prod, inputs), initial=0)
        return View(inputs_at=tuple(starts))

    def identity(self, inputs: Shapes, constants: Constants) -> str:
        return "it joins a single tensor" if len(inputs) == 1 else ""

    @classmethod
    def examples(cls) -> Examples:
        return {
            "concat_channels": (cls(3), ((1, 4, 3, 8), (1, 4, 3, 5), (1, 4, 3, 2))),
            "concat_rows": (cls(1), ((1, 2, 3, 4), (1, 5, 3, 4))),
            "concat_features": (cls(1), ((1, 9), (1, 3))),
        }
