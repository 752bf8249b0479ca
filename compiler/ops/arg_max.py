# SPDX-License-Identifier: Apache-2.0
"""Where along one axis the largest (or smallest) int8 number lies: the class of a row, as int32.

Of equal numbers the first counts. With n numbers, place and number are one key,

    y = n - 1 - key % n,   key = max_k ((x_k + 128) * n + n - 1 - k)   (the smallest: 127 - x_k)

so that a plain maximum finds both. Indices have no scale: they can only leave the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import FLAG, NUMBER
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, full
from tinytailor.targets.errors import InputError

MAX_SIZE = 1 << 22  # of the axis, so that a key fits int32


@dataclass(frozen=True, slots=True)
class ArgMax(Operator):
    """``axis``: of the NHWC map or of the row, 1 or more; it has one element in the output."""

    kind: ClassVar[str] = "arg_max"

    axis: int = field(metadata=NUMBER)
    largest: bool = field(default=True, metadata=FLAG)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if not 0 < self.axis < len(x) or x[self.axis] > MAX_SIZE:
            raise InputError(
                f"arg_max: axis {self.axis} of shape {x}, expected 1 to {len(x) - 1} and at most "
                f"{MAX_SIZE} elements"
            )
        return (*x[: self.axis], 1, *x[self.axis + 1 :])

    def dtypes(self, *read: str) -> tuple[str, ...]:
        return ("int8", "int32")

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        find = np.argmax if self.largest else np.argmin
        return find(inputs[0], axis=self.axis, keepdims=True).astype(np.int32)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return full(self.output_shape(*inputs)[-1], 0, inputs[0][self.axis] - 1)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "arg_max": (cls(1), ((1, 12),)),
            "arg_max_channels": (cls(3), one_map(4, 5, 7)),
            "arg_min_columns": (cls(2, largest=False), one_map(4, 5, 7)),
        }
