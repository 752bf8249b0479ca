# SPDX-License-Identifier: Apache-2.0
"""A constant added to an int8 tensor: one number per channel, the last axis, or any other shape
that numpy would broadcast.

    y = clamp(zero_point + ((a * left + bias) >> shift), low, high)

left is the scale ratio s_a/s_y (negative: a is subtracted from the constant) with up to 20 bits;
bias holds the constant in the same unit, the rounding half and the zero point of a: one rounding.
|a * left| and |bias| less its half stay below 2^30, so nothing overflows.
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
class AddConstant:
    kind: ClassVar[str] = "add_constant"

    shape: Shape = ()  # of the constant, with all axes of the tensor; () is one per channel
    left: int = 1 << 20
    shift: int = 20
    zero_point: int = 0
    low: int = -128
    high: int = 127

    @classmethod
    def from_scales(
        cls, a: Tensor, constant: np.ndarray, y: Tensor, low: int, high: int, sign: int = 1
    ) -> tuple[AddConstant, np.ndarray]:
        """The operator for sign * a + ``constant`` (real, by channel) into ``y``; its bias."""
        ratio = float(np.float32(a.scale) / np.float32(y.scale))
        steps = constant.astype(np.float64) / np.float32(y.scale)
        reach = max(ratio, float(np.abs(steps).max()) / 128)
        shift = 21 - frexp(reach)[1] if np.isfinite(reach) else 0
        if not 1 <= shift <= 30:
            raise InputError(
                f"add of a constant up to {np.abs(constant).max():g} to {a.name} into {y.name} of "
                f"scale {y.scale:g} is out of range; quantize the result with a closer range"
            )
        left = int(np.rint(sign * ratio * 2.0**shift))
        bias = np.rint(steps * 2.0**shift) + (1 << (shift - 1)) - left * a.zero_point
        op = cls((), left, shift, y.zero_point, low, high)
        return op, bias.astype(np.int32)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if broadcast_shape(self.kind, x, self.whole(x)) != x:
            raise InputError(f"add_constant: a constant of shape {self.shape} to shape {x}")
        return x

    def whole(self, x: Shape) -> Shape:
        """The shape of the constant with all axes of ``x``."""
        return self.shape or (*(1 for _ in x[1:]), x[-1])

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {"bias": (self.shape or inputs[0][-1:], "int32")}

    def key_attributes(self) -> dict[str, Any]:
        shape = {"shape": list(self.shape)} if self.shape else {}
        return {**shape, **clamp_attributes(self.low, self.high)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> AddConstant:
        shape = tuple(int(size) for size in attributes.get("shape", ()))
        return cls(shape, 601_295, 20, EXAMPLE_ZERO_POINT, *example_clamp(attributes))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        total = inputs[0].astype(np.int64) * self.left + constants["bias"]
        value = self.zero_point + (total >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)
