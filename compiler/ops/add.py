# SPDX-License-Identifier: Apache-2.0
"""Elementwise addition of two int8 tensors, broadcast as in numpy, each with its own scale.

    y = clamp(zero_point + ((a * left + b * right + bias) >> shift), low, high)

left and right are the scale ratios s_a/s_y and s_b/s_y with about 20 bits, a negative right one
subtracts; bias holds the rounding half and both zero points: one int32 expression, one rounding, as
in LiteRT's optimized kernel. |a * left| < 2^28, so nothing overflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import frexp
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes, Tensor
from tinytailor.compiler.ops.base import Shifted
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, ZERO_POINT, in_key, neutral, told
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners, full
from tinytailor.targets.errors import InputError

WIDEST = 22  # shift at which 2 * 255 * 2^21 + 128 * 2^shift, the largest sum, is below 2^31


def _example_shift(attributes: Mapping[str, Any]) -> int:
    return WIDEST + 1 if attributes.get("wide") else 20


BIAS = told(lambda a: (1 << (_example_shift(a) - 1)) + 12_345_678)
SHIFT = in_key(
    lambda _, shift: {"wide": True} if shift > WIDEST else {},
    lambda _, attributes: _example_shift(attributes),
)


class RoundedSum(Shifted):
    """Whose products come to a sum with ``bias``, which is rounded by one shift."""

    __slots__ = ()
    bias: int
    shift: int

    @property
    def wide(self) -> bool:
        """Whether the zero point has no room in the sum, and is added after the shift."""
        return self.shift > WIDEST

    @property
    def offset(self) -> int:
        """What is added to the products; the zero point is in it, if there is room."""
        return self.bias + (0 if self.wide else self.zero_point << self.shift)


@dataclass(frozen=True, slots=True)
class Add(RoundedSum):
    kind: ClassVar[str] = "add"

    left: int = field(default=1 << 20, metadata=neutral(601_295))
    right: int = field(default=1 << 20, metadata=neutral(873_813))
    bias: int = field(default=1 << 19, metadata=BIAS)
    shift: int = field(default=20, metadata=SHIFT)
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

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

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        a, b = (x.astype(np.int64) for x in inputs)
        value = self.zero_point + ((a * self.left + b * self.right + self.bias) >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        left, right = full(1).times(self.left), full(1).times(self.right)
        return Range(left.low + right.low, left.high + right.high).plus(self.offset)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    def epilogue(self, operand: int) -> Add:
        return self if operand == 0 else replace(self, left=self.right, right=self.left)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "add": (cls.from_key({}), ((1, 4, 4, 8),) * 2),
            "add_wide": (cls.from_key({"wide": True}), ((1, 4, 4, 8),) * 2),
            "add_channels": (cls.from_key({}), ((1, 4, 5, 7), (1, 1, 1, 7))),
            "add_outer": (cls.from_key({}), ((1, 4, 1, 3), (1, 1, 5, 3))),
            "add_number": (cls.from_key({}), ((1, 1, 1, 1), (1, 4, 5, 3))),
            "add_numbers": (cls.from_key({}), ((1, 1),) * 2),
        }
