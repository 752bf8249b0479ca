# SPDX-License-Identifier: Apache-2.0
"""Elementwise addition of two int8 tensors, broadcast as in numpy, each with its own scale.

    y = clamp(zero_point + ((a * left + b * right + bias) >> shift), low, high)

left and right are the scale ratios s_a/s_y and s_b/s_y with about 20 bits, a negative right one
subtracts; bias holds the rounding half and both zero points: one int32 expression, one rounding, as
in LiteRT's optimized kernel. |a * left| < 2^28, so nothing overflows.
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

WIDEST = 22  # shift at which 2 * 255 * 2^21 + 128 * 2^shift, the largest sum, is below 2^31


@dataclass(frozen=True, slots=True)
class Add:
    kind: ClassVar[str] = "add"

    left: int = 1 << 20
    right: int = 1 << 20
    bias: int = 1 << 19
    shift: int = 20
    zero_point: int = 0
    low: int = -128
    high: int = 127

    @classmethod
    def from_scales(
        cls, a: Tensor, b: Tensor, y: Tensor, low: int = -128, high: int = 127, sign: int = 1
    ) -> Add:
        """a + b, or a - b with ``sign`` -1, into ``y`` by their scales and zero points."""
        ratio_a = float(np.float32(a.scale) / np.float32(y.scale))
        ratio_b = float(np.float32(b.scale) / np.float32(y.scale))
        shift = 21 - frexp(max(ratio_a, ratio_b))[1]
        if not 1 <= shift <= 30:
            raise InputError(
                f"add {a.name} + {b.name}: scale ratios {ratio_a:g} and {ratio_b:g} to {y.name} "
                "are out of the range 2^-9 to 2^20; quantize the tensors with closer ranges"
            )
        left, right = (int(np.rint(r * 2.0**shift)) for r in (ratio_a, sign * ratio_b))
        bias = (1 << (shift - 1)) - left * a.zero_point - right * b.zero_point
        return cls(left, right, bias, shift, y.zero_point, low, high)

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast_shape(self.kind, *inputs)

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {**({"wide": True} if self.wide else {}), **clamp_attributes(self.low, self.high)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Add:
        shift = WIDEST + 1 if attributes.get("wide") else 20
        bias = (1 << (shift - 1)) + 12_345_678
        low, high = example_clamp(attributes)
        return cls(601_295, 873_813, bias, shift, EXAMPLE_ZERO_POINT, low, high)

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        a, b = (x.astype(np.int64) for x in inputs)
        value = self.zero_point + ((a * self.left + b * self.right + self.bias) >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    @property
    def wide(self) -> bool:
        """Whether the zero point has no room in the sum, and is added after the shift."""
        return self.shift > WIDEST
