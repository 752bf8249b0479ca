# SPDX-License-Identifier: Apache-2.0
"""A constant added to an int8 tensor: one number per channel, the last axis, or any other shape
that numpy would broadcast.

    y = clamp(zero_point + ((a * left + bias) >> shift), low, high)

left is the scale ratio s_a/s_y (negative: a is subtracted from the constant) with up to 20 bits;
bias holds the constant in the same unit, the rounding half and the zero point of a: one rounding.
|a * left| and |bias| less its half stay below 2^30, so nothing overflows.
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
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, biases
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, ZERO_POINT, neutral, numbers, unless
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners, enclosing, full
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class AddConstant(Shifted):
    """``shape``: of the constant, with all axes of the tensor; () is one per channel."""

    kind: ClassVar[str] = "add_constant"

    shape: Shape = field(default=(), metadata=unless((), numbers, list))
    left: int = field(default=1 << 20, metadata=neutral(601_295))
    shift: int = 20
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

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

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"bias": biases(self.shape or inputs[0][-1:])}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        total = inputs[0].astype(np.int64) * self.left + constants["bias"]
        value = self.zero_point + (total >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        bias, scaled = enclosing(constants["bias"]), full(1).times(self.left)
        return Range(bias.low + scaled.low, bias.high + scaled.high)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def with_fewer_channels(
        self, fewer: Fewer, constants: Constants
    ) -> tuple[AddConstant, Constants]:
        bias = of_channels(constants["bias"], fewer.stay)
        return replace(self, shape=bias.shape if self.shape else ()), {"bias": bias}

    @classmethod
    def examples(cls) -> Examples:
        return {
            "add_constant": (cls.from_key({}), one_map(4, 3, 7)),
            "add_constant_map": (cls.from_key({"shape": (1, 4, 3, 1)}), one_map(4, 3, 7)),
            "add_constant_row": (cls.from_key({}), ((1, 10),)),
            "add_constant_clamped": (cls.from_key({"clamped": True}), ((1, 10),)),
        }
