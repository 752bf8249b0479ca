# SPDX-License-Identifier: Apache-2.0
"""Elementwise product of two int8 tensors, broadcast as in numpy, each with its own scale.

    y = requant((a - z_a) * (b - z_b), multiplier),   multiplier from s_a * s_b / s_y

A channel attention multiplies by (1, 1, 1, channels), a spatial one by (1, h, w, 1). The product of
two differences has at most 16 bits and a sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops.base import (
    EXAMPLE_ZERO_POINT,
    ConstantShapes,
    example_requant,
    requant_attributes,
)
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.targets.errors import InputError

MAX_SHIFT = 15  # 255 * 255 shifted further leaves 32 bits


@dataclass(frozen=True, slots=True)
class Mul:
    kind: ClassVar[str] = "mul"

    left_zero_point: int = 0
    right_zero_point: int = 0
    multiplier: int = 1 << 24
    requant: Requant = Requant()

    @classmethod
    def from_scales(cls, a: Tensor, b: Tensor, y: Tensor, low: int = -128, high: int = 127) -> Mul:
        """a * b into ``y`` by their scales and zero points."""
        scale = effective_scale(a.scale, b.scale, y.scale)
        if not np.all(scale < 2.0 ** (MAX_SHIFT - 1)):  # also where it is not a number
            raise InputError(
                f"mul {a.name} * {b.name}: scale {a.scale:g} times {b.scale:g} is too large for "
                f"output scale {y.scale:g}; quantize the tensors with closer ranges"
            )
        (multiplier,), shift = multipliers(scale)
        requant = Requant(y.zero_point, shift, low, high)
        return cls(a.zero_point, b.zero_point, int(multiplier), requant)

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast_shape(self.kind, *inputs)

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return requant_attributes(self.requant)

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Mul:
        return cls(EXAMPLE_ZERO_POINT, 7, 12_345_678, example_requant(attributes))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        a, b = (x.astype(np.int64) for x in inputs)
        product = (a - self.left_zero_point) * (b - self.right_zero_point)
        return self.requant.apply(product, np.array(self.multiplier))
