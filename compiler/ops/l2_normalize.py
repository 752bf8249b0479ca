# SPDX-License-Identifier: Apache-2.0
"""Rows of (1, ..., channels) divided by their length, int8 to int8.

    d = x - input_zero_point,   n = sum d^2 over the row,   s the most with n * 4^s < 2^32
    inverse = numerator / floor(sqrt(n * 4^s))                             numerator from 2^29
    y = clamp(zero_point + ((d * inverse + 2^(shift - s - 1)) >> (shift - s)), low, high)

in 32 bits: 1 / scale of the output is numerator / 2^shift, and the root has 16 bits, so the one
rounding of a result is within 0.01 steps of exact. A row of zeros stays one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import frexp
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Tensor
from tinytailor.compiler.ops.base import Shifted
from tinytailor.compiler.ops.root import root_of
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, ZERO_POINT, neutral
from tinytailor.targets.errors import InputError

MOST = 1 << 15  # channels: n stays below 2^31


@dataclass(frozen=True, slots=True)
class L2Normalize(Shifted):
    kind: ClassVar[str] = "l2_normalize"

    input_zero_point: int = field(default=0, metadata=neutral(7))
    numerator: int = field(default=1 << 29, metadata=neutral(617_283_945))
    shift: int = field(default=22, metadata=neutral(22))
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    @classmethod
    def from_scales(cls, x: Tensor, y: Tensor, low: int = -128, high: int = 127) -> L2Normalize:
        exponent = frexp(1 / np.float32(y.scale))[1]
        shift = 30 - exponent
        if not 16 <= shift <= 29:
            raise InputError(
                f"l2_normalize into {y.name} with scale {y.scale:g}, expected 2^-14 to 1, as 1/128"
            )
        numerator = int(np.rint(2.0**shift / np.float64(np.float32(y.scale))))
        return cls(x.zero_point, numerator, shift, y.zero_point, low, high)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) < 2 or x[0] != 1 or x[-1] > MOST:
            raise InputError(f"l2_normalize: shape {x}, expected (1, ..., channels up to {MOST})")
        return x

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        d = inputs[0].astype(np.int64) - self.input_zero_point
        n = np.maximum((d * d).sum(axis=-1, keepdims=True), 1)
        s, root = root_of(n)
        inverse, shift = self.numerator // root, self.shift - s
        value = self.zero_point + ((d * inverse + (1 << (shift - 1))) >> shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "l2_normalize": (cls.from_key({}), ((1, 12),)),
            "l2_normalize_map": (cls.from_key({}), ((1, 3, 4, 5),)),
            "l2_normalize_clamped": (cls.from_key({"clamped": True}), ((1, 300),)),
        }
