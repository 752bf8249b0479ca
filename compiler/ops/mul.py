# SPDX-License-Identifier: Apache-2.0
"""Elementwise product of two int8 tensors, broadcast as in numpy, each with its own scale.

    y = requant((a - z_a) * (b - z_b), multiplier),   multiplier from s_a * s_b / s_y

A channel attention multiplies by (1, 1, 1, channels), a spatial one by (1, h, w, 1). The product of
two differences has at most 16 bits and a sign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes, Tensor
from tinytailor.compiler.ops.base import Requantized
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import REQUANT, ZERO_POINT, neutral
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners, enclosing, full
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.targets.errors import InputError

MAX_SHIFT = 15  # 255 * 255 shifted further leaves 32 bits


@dataclass(frozen=True, slots=True)
class Mul(Requantized):
    kind: ClassVar[str] = "mul"

    left_zero_point: int = field(default=0, metadata=ZERO_POINT)
    right_zero_point: int = field(default=0, metadata=neutral(7))
    multiplier: int = field(default=1 << 24, metadata=neutral(12_345_678))
    requant: Requant = field(default=Requant(), metadata=REQUANT)

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

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        a, b = (x.astype(np.int64) for x in inputs)
        product = (a - self.left_zero_point) * (b - self.right_zero_point)
        return self.requant.apply(product, np.array(self.multiplier))

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        left, right = full(1).plus(-self.left_zero_point), full(1).plus(-self.right_zero_point)
        ends = enclosing(*(a * b for a in (left.low, left.high) for b in (right.low, right.high)))
        return ends.times(1 << self.requant.shift)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    @classmethod
    def examples(cls) -> Examples:
        return {
            "mul": (cls.from_key({"shifted": False}), ((1, 4, 4, 8),) * 2),
            "mul_shifted": (cls.from_key({"shifted": True}), ((1, 5, 3, 3),) * 2),
            "mul_pixels": (cls.from_key({"shifted": False}), ((1, 4, 5, 7), (1, 4, 5, 1))),
            "mul_rows": (cls.from_key({"shifted": False}), ((1, 4, 1, 1), (1, 4, 5, 7))),
            "mul_channels": (cls.from_key({"shifted": False}), ((1, 4, 5, 7), (1, 1, 1, 7))),
        }
