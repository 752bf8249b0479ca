# SPDX-License-Identifier: Apache-2.0
"""A border of one value round a map, int8, NHWC; input and output share scale and zero point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import EXAMPLE_ZERO_POINT, ConstantShapes
from tinytailor.targets.errors import InputError

Sides = tuple[int, int, int]  # rows, columns, channels


@dataclass(frozen=True, slots=True)
class Pad:
    """``before`` and ``after``: added rows, columns and channels; ``value``: what they hold."""

    kind: ClassVar[str] = "pad"

    before: Sides
    after: Sides
    value: int = 0

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

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"before": list(self.before), "after": list(self.after)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Pad:
        return cls(sides(attributes["before"]), sides(attributes["after"]), EXAMPLE_ZERO_POINT)

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        around = ((0, 0), *zip(self.before, self.after, strict=True))
        return np.pad(inputs[0], around, constant_values=np.int8(self.value))


def sides(value: Iterable[Any]) -> Sides:
    rows, columns, channels = map(int, value)
    return rows, columns, channels
