# SPDX-License-Identifier: Apache-2.0
"""Reshape: another shape for the same bytes in the same order.

Costs nothing and emits nothing, but where bytes must get from one border of the graph to another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import ALL, Channels, Fewer, Link
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBERS
from tinytailor.compiler.ops.traits.neighbours import View
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, enclosing
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Reshape(Operator):
    kind: ClassVar[str] = "reshape"

    shape: Shape = field(metadata=NUMBERS)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if prod(x) != prod(self.shape):
            raise InputError(
                f"reshape: {x} has {prod(x)} elements, {self.shape} {prod(self.shape)}"
            )
        return self.shape

    def dtypes(self, *read: str) -> tuple[str, ...]:
        """Whatever type it is given."""
        return (*read, *read)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        return inputs[0].reshape(inputs[0].shape[0], *self.shape[1:])

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        ends = reads[0].spread(inputs[0])
        return enclosing(*(end.reshape(self.shape) for end in ends))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        """A row of pixels holds every channel once a pixel, and so the other way round."""
        few, many = sorted((inputs[0][-1], self.shape[-1]))
        if many % few:
            return None
        runs = [slice(start, start + few) for start in range(0, many, few)]
        wider = self.shape[-1] == many
        return tuple(Link(0, ALL, run) if wider else Link(0, run, ALL) for run in runs)

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Reshape, Constants]:
        return replace(self, shape=(*self.shape[:-1], fewer.count)), constants

    def view(self, *inputs: Shape) -> View:
        return View(output_at=0, inputs_at=(0,))

    def identity(self, inputs: Shapes, constants: Constants) -> str:
        return "it keeps the shape" if inputs[0] == self.shape else ""

    @classmethod
    def examples(cls) -> Examples:
        return {
            "reshape_copied": (cls((1, 60)), one_map(4, 3, 5)),
        }
