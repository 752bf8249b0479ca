# SPDX-License-Identifier: Apache-2.0
"""Concatenation along one axis, int8. All inputs and the output share scale and zero point, so the
bytes are copied: runs of each input in turn, as often as the axes before ``axis`` ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Concat:
    """``axis``: of the NHWC map or of the row, 1 or more."""

    kind: ClassVar[str] = "concat"

    axis: int

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

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"axis": self.axis}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Concat:
        return cls(int(attributes["axis"]))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        return np.concatenate(inputs, axis=self.axis)
