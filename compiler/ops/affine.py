# SPDX-License-Identifier: Apache-2.0
"""An int8 tensor times constants plus constants, of any shape that numpy would broadcast: a batch
normalization that no layer can take in has one pair for each channel.

    y = clamp(zero_point + ((a * left[c] + bias[c]) >> shift), low, high)

left holds c * s_a/s_y with up to 20 bits for the largest, bias the constants in the same unit, the
rounding half and the zero point of a: one rounding. |a * left| and |bias| less its half stay below
2^30, so nothing overflows.
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
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, biases, factors
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, NUMBERS, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners, enclosing
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Affine(Shifted):
    """``shape``: of both constants, with all axes of the tensor."""

    kind: ClassVar[str] = "affine"

    shape: Shape = field(metadata=NUMBERS)
    shift: int = 20
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    @classmethod
    def from_scales(
        cls, a: Tensor, gain: np.ndarray, constant: np.ndarray, y: Tensor, low: int, high: int
    ) -> tuple[Affine, dict[str, np.ndarray]]:
        """The operator for gain * a + ``constant`` (real, of one shape) into ``y``."""
        ratios = gain.astype(np.float64) * np.float32(a.scale) / np.float32(y.scale)
        steps = constant.astype(np.float64) / np.float32(y.scale)
        reach = max(float(np.abs(ratios).max()), float(np.abs(steps).max()) / 128)
        shift = 21 - frexp(reach)[1] if np.isfinite(reach) and reach > 0 else 30
        if not np.isfinite(reach) or shift < 1:
            raise InputError(
                f"{a.name} times up to {np.abs(gain).max():g} plus up to "
                f"{np.abs(constant).max():g} into {y.name} of scale {y.scale:g} is out of range; "
                "quantize the result with a closer range"
            )
        shift = min(shift, 30)
        left = np.rint(ratios * 2.0**shift)
        bias = np.rint(steps * 2.0**shift) + (1 << (shift - 1)) - left * a.zero_point
        constants = {"left": left.astype(np.int32), "bias": bias.astype(np.int32)}
        return cls(gain.shape, shift, y.zero_point, low, high), constants

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if broadcast_shape(self.kind, x, self.shape) != x:
            raise InputError(f"affine: constants of shape {self.shape} for shape {x}")
        return x

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"left": factors(self.shape), "bias": biases(self.shape)}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        total = inputs[0].astype(np.int64) * constants["left"] + constants["bias"]
        value = self.zero_point + (total >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        left, bias = (constants[role].astype(np.int64) for role in ("left", "bias"))
        return enclosing(left * -128 + bias, left * 127 + bias)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Affine, Constants]:
        left = of_channels(constants["left"], fewer.stay)
        bias = of_channels(constants["bias"], fewer.stay)
        return replace(self, shape=left.shape), {"left": left, "bias": bias}

    @classmethod
    def examples(cls) -> Examples:
        return {
            "affine_channels": (cls((1, 1, 1, 7)), one_map(4, 3, 7)),
            "affine_rows": (cls((1, 4, 1, 1)), one_map(4, 3, 7)),
            "affine_row": (cls((1, 10)), ((1, 10),)),
            "affine_clamped": (cls.from_key({"shape": (1, 10), "clamped": True}), ((1, 10),)),
        }
