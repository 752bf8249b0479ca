# SPDX-License-Identifier: Apache-2.0
"""A ReLU whose negative side has slopes of its own, one per channel or of any shape that numpy
would broadcast.

    d = a - z_a
    y = clamp(zero_point + ((d * (d < 0 ? negative[c] : positive) + 2^(shift - 1)) >> shift), ...)

positive is the scale ratio s_a/s_y, negative the slopes times it, with up to 20 bits for the
largest of them: |d * factor| < 2^29, so nothing overflows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import frexp
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes, Tensor
from tinytailor.compiler.ops.base import Shifted
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, linked, of_channels
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, factors
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, NUMBERS, ZERO_POINT, neutral
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners, enclosing
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class PRelu(Shifted):
    """``shape``: of the slopes, with all axes of the tensor."""

    kind: ClassVar[str] = "prelu"

    shape: Shape = field(metadata=NUMBERS)
    positive: int = field(default=1 << 20, metadata=neutral(601_295))
    shift: int = 20
    input_zero_point: int = field(default=0, metadata=neutral(3))
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

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

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"negative": factors(self.shape)}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        steps = inputs[0].astype(np.int64) - self.input_zero_point
        product = steps * np.where(steps < 0, constants["negative"], self.positive)
        value = self.zero_point + ((product + (1 << (self.shift - 1))) >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        """It rises or falls on either side of the zero point."""
        turn = np.clip(self.input_zero_point, reads[0].low, reads[0].high)
        ends = corners(self, reads, inputs, constants)
        return ends.joined(corners(self, (Range(turn, turn),), inputs, constants))

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        negative, half = constants["negative"].astype(np.int64), 1 << (self.shift - 1)
        below, above = -128 - self.input_zero_point, 127 - self.input_zero_point
        zero = np.zeros_like(negative)
        return enclosing(zero, negative * below, zero + self.positive * above).plus(half)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[PRelu, Constants]:
        negative = of_channels(constants["negative"], fewer.stay)
        return replace(self, shape=negative.shape), {"negative": negative}

    @classmethod
    def examples(cls) -> Examples:
        return {
            "prelu_channels": (cls.from_key({"shape": (1, 1, 1, 7)}), one_map(4, 5, 7)),
            "prelu_rows": (cls.from_key({"shape": (1, 4, 1, 1)}), one_map(4, 5, 7)),
            "prelu_clamped": (
                cls.from_key({"shape": (1, 1, 1, 7), "clamped": True}),
                one_map(4, 5, 7),
            ),
        }
