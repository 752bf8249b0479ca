# SPDX-License-Identifier: Apache-2.0
"""Rows of (1, ..., n) with mean 0 and variance 1, times constants plus constants, int8 to int8:
layer normalization, and over transposed maps instance normalization.

    s = sum x,   q = sum x^2,   d = n x - s
    v = (n q - s^2) / 2^spare + epsilon,   v 4^z < 2^32 for the largest such z
    t = 2^12 d / sqrt(v 2^spare)     by the root of v 4^z in 16 bits, whole numbers with 12 behind
    y = clamp(zero_point + (((t 2^11 gain + 2^31) >> 32) + bias) >> 8), low, high)

Products of two 32-bit numbers are rounded to their high word, as in requantization. A result is off
by 0.03 steps at most before its rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Tensor
from tinytailor.compiler.ops.base import Shifted
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.root import root_of
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, biases, factors
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, NUMBERS, ZERO_POINT, neutral
from tinytailor.targets.errors import InputError

MOST = 1 << 15  # elements of a row: sums of squares stay below 2^31
FRACTION, LIFT, REST = 12, 11, 8  # bits of t behind the point, and of what is shifted around it
LARGEST = (1 << 30) - 1  # of epsilon, and of the variance beside it


def spare_bits(length: int) -> int:
    """An even number that brings n^2 times the largest variance of int8 near 2^30 and below it;
    negative for short rows, whose variances are shifted up."""
    return 2 * ((length - 1).bit_length() - 8)


@dataclass(frozen=True, slots=True)
class LayerNormalize(Shifted):
    """``shape``: of gain and bias, with all axes of the tensor."""

    kind: ClassVar[str] = "layer_normalize"

    shape: Shape = field(metadata=NUMBERS)
    epsilon: int = field(default=1, metadata=neutral(123_456))
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    @classmethod
    def from_scales(
        cls,
        x: Tensor,
        gain: np.ndarray,
        bias: np.ndarray,
        epsilon: float,
        y: Tensor,
        low: int = -128,
        high: int = 127,
    ) -> tuple[LayerNormalize, Constants]:
        """gain * (x - mean) / sqrt(variance + epsilon) + bias (real, of one shape) into ``y``."""
        length = x.shape[-1]
        steps = (length / float(np.float32(x.scale))) ** 2 / 2.0 ** spare_bits(length)
        unit = 1 / float(np.float32(y.scale))
        factor = np.rint(gain.astype(np.float64) * unit * 2.0 ** (32 - FRACTION - LIFT + REST))
        offset = np.rint(bias.astype(np.float64) * unit * 2.0**REST) + (1 << (REST - 1))
        if not np.all(np.abs(factor) < 2**31) or not np.all(np.abs(offset) < 2**30):
            raise InputError(
                f"layer_normalize into {y.name} with scale {y.scale:g}: gains up to "
                f"{np.abs(gain).max():g} and biases up to {np.abs(bias).max():g} are out of range; "
                "quantize the result with a closer range"
            )
        op = cls(gain.shape, int(min(np.rint(epsilon * steps), LARGEST)), y.zero_point, low, high)
        return op, {"gain": factor.astype(np.int32), "bias": offset.astype(np.int32)}

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) < 2 or x[0] != 1 or not 2 <= x[-1] <= MOST:
            raise InputError(f"layer_normalize: shape {x}, expected (1, ..., 2 to {MOST} elements)")
        if broadcast_shape(self.kind, x, self.shape) != x:
            raise InputError(f"layer_normalize: constants of shape {self.shape} for shape {x}")
        return x

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"gain": factors(self.shape), "bias": biases(self.shape)}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x = inputs[0].astype(np.int64)
        length, spare = x.shape[-1], spare_bits(x.shape[-1])
        s, q = (power.sum(axis=-1, keepdims=True) for power in (x, x * x))
        v = length * q - s * s
        v = np.maximum((v >> spare if spare > 0 else v << -spare) + self.epsilon, 1)
        z, root = root_of(v)
        left = z - spare // 2 - 2
        inverse = ((2**31 - 1) // root << 15) >> np.maximum(-left, 0)
        d = (length * x - s) << np.maximum(left, 0)
        t = (d * inverse + (1 << 31)) >> 32
        gain, bias = (constants[role].astype(np.int64) for role in ("gain", "bias"))
        value = (((t << LIFT) * gain + (1 << 31)) >> 32) + bias
        return np.clip(self.zero_point + (value >> REST), self.low, self.high).astype(np.int8)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "layer_normalize": (cls((1, 1, 12)), ((1, 7, 12),)),
            "layer_normalize_row": (cls((1, 300)), ((1, 300),)),
            "layer_normalize_instances": (cls((1, 5, 1)), ((1, 5, 20),)),
            "layer_normalize_clamped": (
                cls.from_key({"shape": [1, 1, 1, 3], "clamped": True}),
                ((1, 4, 2, 3),),
            ),
        }
