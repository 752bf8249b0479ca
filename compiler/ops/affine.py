# SPDX-License-Identifier: Apache-2.0
"""An int8 tensor times constants plus constants, of any shape that numpy would broadcast: a batch
normalization that no layer can take in has one pair for each channel.

    y = clamp(zero_point + ((a * left[c] + bias[c]) >> shift), low, high)

left holds c * s_a/s_y with up to 20 bits for the largest, bias the constants in the same unit, the
rounding half and the zero point of a: one rounding. |a * left| and |bias| less its half stay below
2^30, so nothing overflows.
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
class Affine:
    """``shape``: of both constants, with all axes of the tensor."""

    kind: ClassVar[str] = "affine"

    shape: Shape
    shift: int = 20
    zero_point: int = 0
    low: int = -128
    high: int = 127

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

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {"left": (self.shape, "int32"), "bias": (self.shape, "int32")}

    def key_attributes(self) -> dict[str, Any]:
        return {"shape": list(self.shape), **clamp_attributes(self.low, self.high)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Affine:
        shape = tuple(int(size) for size in attributes["shape"])
        return cls(shape, 20, EXAMPLE_ZERO_POINT, *example_clamp(attributes))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        total = inputs[0].astype(np.int64) * constants["left"] + constants["bias"]
        value = self.zero_point + (total >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)
