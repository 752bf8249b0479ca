# SPDX-License-Identifier: Apache-2.0
"""The words that units are given: 64 bits of weights or of a channel, and fields of descriptors.

Four-bit weights are two per byte, the first in the low bits. A channel word is the int32 bias
below the int32 multiplier. CoDeNet packs a 16-bit scale and bias instead; 32 bits keep the integers
of the Graph's ``Requant``, which a 16-bit scale cannot express, for 4 bytes more per channel.
"""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.fpga.step import blocks
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.fpga import LANES

CHANNEL_WORDS = LANES  # one 64-bit word per channel of a block


def requant_fields(prefix: str) -> tuple[str, ...]:
    """The names of what ``requant_values`` gives."""
    return tuple(f"{prefix}_{part}" for part in ("shift", "zero_point", "low", "high"))


def requant_values(prefix: str, requant: Requant) -> dict[str, int]:
    values = (requant.shift, requant.zero_point, requant.low, requant.high)
    return dict(zip(requant_fields(prefix), values, strict=True))


def padded(array: np.ndarray) -> np.ndarray:
    """The last axis filled up with zeros to a multiple of 16."""
    missing = blocks(array.shape[-1]) * LANES - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


def nibbles(values: np.ndarray) -> np.ndarray:
    """(..., 16) values in -8..7 to one uint64 per 16, the first in the lowest four bits."""
    low_bits = (values.reshape(-1, LANES).astype(np.int64) & 15).astype(np.uint64)
    shifts = np.arange(LANES, dtype=np.uint64) * np.uint64(4)
    return np.bitwise_or.reduce(low_bits << shifts, axis=1)


def channels(bias: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """Channel words of whole blocks; padded channels have bias and multiplier 0."""
    return channel_words(padded(bias), padded(multiplier))


def channel_words(bias: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    low = bias.astype(np.int32).view(np.uint32).astype(np.uint64)
    high = multiplier.astype(np.int32).view(np.uint32).astype(np.uint64)
    return low | (high << np.uint64(32))
