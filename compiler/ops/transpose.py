# SPDX-License-Identifier: Apache-2.0
"""Axes of an int8 tensor in another order: y[i, j, k] = x[i, k, j] for the axes (0, 2, 1).

Over reshaped tensors it is also depth-to-space, space-to-depth and the shuffling of channels: the
front end finds shape and axes for any of them.
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
class Transpose:
    """``axes``: for each axis of the output the axis of the input; the batch stays in front."""

    kind: ClassVar[str] = "transpose"

    axes: tuple[int, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if sorted(self.axes) != list(range(len(x))) or self.axes[0] != 0:
            raise InputError(
                f"transpose: axes {self.axes} of shape {x}, expected each axis once, 0 in front"
            )
        return tuple(x[axis] for axis in self.axes)

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"axes": list(self.axes)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Transpose:
        return cls(tuple(int(axis) for axis in attributes["axes"]))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        return inputs[0].transpose(self.axes)
