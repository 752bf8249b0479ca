# SPDX-License-Identifier: Apache-2.0
"""Squares of the differences of two int8 tensors, broadcast as in numpy, each with its own scale.

    d = (a * left + b * right + bias) >> shift          in 15 bits, right is negative
    y = requant(d^2, multiplier)

The largest difference that the scales allow is nearly 2^14 in d, so its rounding changes the result
by less than a 40th of a step.
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
from tinytailor.compiler.ops.traits.keys import REQUANT, neutral
from tinytailor.compiler.ops.traits.ranges import Range, full
from tinytailor.compiler.requantization import Requant, multipliers
from tinytailor.targets.errors import InputError

SHIFT = 13
LARGEST = (1 << 14) - 1  # of d: its square, rounded up at the end, has 28 bits


@dataclass(frozen=True, slots=True)
class SquaredDifference(Requantized):
    kind: ClassVar[str] = "squared_difference"

    left: int = field(default=1 << 19, metadata=neutral(345_678))
    right: int = field(default=-(1 << 19), metadata=neutral(-456_789))
    bias: int = field(default=1 << 12, metadata=neutral(1_234_567))
    multiplier: int = field(default=1 << 16, metadata=neutral(123_456))
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    @classmethod
    def from_scales(
        cls, a: Tensor, b: Tensor, y: Tensor, low: int = -128, high: int = 127
    ) -> SquaredDifference:
        """(a - b)^2 into ``y`` by their scales and zero points."""
        ends = [(x.scale * (-128 - x.zero_point), x.scale * (127 - x.zero_point)) for x in (a, b)]
        largest = max(ends[0][1] - ends[1][0], ends[1][1] - ends[0][0])
        step = largest / LARGEST
        scale = np.atleast_1d(np.asarray(step * step / np.float32(y.scale), np.float32))
        if not np.all(scale < 1):  # also where it is not a number
            raise InputError(
                f"squared_difference of {a.name} and {b.name}, up to {largest:g} apart, into "
                f"{y.name} with scale {y.scale:g}: quantize the tensors with closer ranges"
            )
        (multiplier,), shift = multipliers(scale)
        left, right = (
            int(np.rint(sign * x.scale / step * 2.0**SHIFT)) for sign, x in ((1, a), (-1, b))
        )
        bias = (1 << (SHIFT - 1)) - left * a.zero_point - right * b.zero_point
        return cls(left, right, bias, int(multiplier), Requant(y.zero_point, shift, low, high))

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast_shape(self.kind, *inputs)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        a, b = (x.astype(np.int64) for x in inputs)
        d = (a * self.left + b * self.right + self.bias) >> SHIFT
        return self.requant.apply(d * d, np.array(self.multiplier))

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        left, right = full(1).times(self.left), full(1).times(self.right)
        return Range(left.low + right.low, left.high + right.high).plus(self.bias)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    @classmethod
    def examples(cls) -> Examples:
        return {
            "squared_difference": (cls.from_key({"shifted": False}), ((1, 4, 4, 8),) * 2),
            "squared_difference_rows": (
                cls.from_key({"shifted": False, "clamped": True}),
                ((1, 4, 7), (1, 4, 1)),
            ),
        }
