# SPDX-License-Identifier: Apache-2.0
"""The one definition of requantization, shared by training, lowering and every reference.

    y = clamp(zero_point + ((acc * 2^shift * m + 2^31) >> 32), low, high)
    m = round(scale * 2^(32 - shift))

with one rounding (half up) in a 64-bit product: one SMMLAR on cores that have it. ``scale`` is
input_scale * weight_scale / output_scale in float32, as LiteRT's optimized kernels compute it.
``shift`` is 0 unless some scale is 0.5 or more, where m would not fit in 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Requant:
    """The scalars of a requantization; the per-channel multipliers are an array beside it.

    ``shift``: left shift of the accumulator before the multiplication (0..31);
    ``low``, ``high``: the clamp, an activation function such as ReLU included.
    """

    zero_point: int = 0
    shift: int = 0
    low: int = -128
    high: int = 127

    def apply(self, acc: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """int32 accumulators (..., channels) and int32 multipliers (channels,) to int8."""
        product = (acc.astype(np.int64) << self.shift) * multiplier.astype(np.int64)
        value = self.zero_point + ((product + (1 << 31)) >> 32)
        return np.clip(value, self.low, self.high).astype(np.int8)


def effective_scale(
    input_scale: float, weight_scale: np.ndarray | float, output_scale: float
) -> np.ndarray:
    """input_scale * weight_scale / output_scale, in float32 and in this order."""
    product = np.float32(input_scale) * np.asarray(weight_scale, np.float32)
    return np.atleast_1d(np.asarray(product / np.float32(output_scale), np.float32))


def multipliers(scale: np.ndarray) -> tuple[np.ndarray, int]:
    """Per-channel float32 ``scale`` to (int32 multipliers, shift); scales must be in [0, 2^31)."""
    if not np.all(np.isfinite(scale)) or np.any(scale < 0) or np.any(scale >= 2.0**31):
        raise InputError(f"requantization scales must be finite and in [0, 2^31), got {scale}")
    top = float(np.max(scale))
    shift = 0
    # 0.5 * 2^32 would be 2^31, one more than int32 holds; rounding can lift 0.49999999 there too.
    while np.rint(top * 2.0 ** (32 - shift)) > 2**31 - 1:
        shift += 1
    return np.rint(scale.astype(np.float64) * 2.0 ** (32 - shift)).astype(np.int32), shift
