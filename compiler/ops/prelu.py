# SPDX-License-Identifier: Apache-2.0
"""A ReLU whose negative side has slopes of its own, one per channel or of any shape that numpy
would broadcast.

    d = a - z_a
    y = clamp(zero_point + ((d * (d < 0 ? negative[c] : positive) + 2^(shift - 1)) >> shift), ...)

positive is the scale ratio s_a/s_y, negative the slopes times it, with up to 20 bits for the
largest of them: |d * factor| < 2^29, so nothing overflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import frexp
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops.base import (
    EXAMPLE_ZERO_POINT,
    ConstantShapes,
    clamp_attributes,
    example_clamp,
)
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class PRelu:
    """``shape``: of the slopes, with all axes of the tensor."""

    kind: ClassVar[str] = "prelu"

    shape: Shape
    positive: int = 1 << 20
    shift: int = 20
    input_zero_point: int = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127

    @classmethod
    def from_scales(
        cls, a: Tensor, slopes: np.ndarray, y: Tensor, low: int, high: int
    ) -> tuple[PRelu, np.ndarray]:
        """The operator from ``a`` into ``y``; its factors for negative numbers."""
        ratio = float(np.float32(a.scale) / np.float32(y.scale))
        reach = ratio * max(1.0, float(np.abs(slopes).max()))
        shift = 20 - frexp(reach)[1] if np.isfinite(reach) else 0
        if not 1 <= shift <= 30:
            raise InputError(
                f"prelu of {a.name} with slopes up to {np.abs(slopes).max():g} into {y.name} of "
                f"scale {y.scale:g} is out of range; quantize the result with a closer range"
            )
        negative = np.rint(slopes * ratio * 2.0**shift).astype(np.int32)
        positive = int(np.rint(ratio * 2.0**shift))
        op = cls(slopes.shape, positive, shift, a.zero_point, y.zero_point, low, high)
        return op, negative

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if broadcast_shape(self.kind, x, self.shape) != x:
            raise InputError(f"prelu: slopes of shape {self.shape} for shape {x}")
        return x

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {"negative": (self.shape, "int32")}

    def key_attributes(self) -> dict[str, Any]:
        return {"shape": list(self.shape), **clamp_attributes(self.low, self.high)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> PRelu:
        shape = tuple(int(size) for size in attributes["shape"])
        return cls(shape, 601_295, 20, 3, EXAMPLE_ZERO_POINT, *example_clamp(attributes))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        steps = inputs[0].astype(np.int64) - self.input_zero_point
        product = steps * np.where(steps < 0, constants["negative"], self.positive)
        value = self.zero_point + ((product + (1 << (self.shift - 1))) >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)
