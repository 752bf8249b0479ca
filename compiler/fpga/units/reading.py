# SPDX-License-Identifier: Apache-2.0
"""Reading weight memory and requantizing, for the golden meaning of units; shares no code with what
packs the words, so that a slip there shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinytailor.targets.fpga import LANES


class Reader:
    """A cursor over weight memory."""

    def __init__(self, words: np.ndarray, position: int) -> None:
        self._words, self._position = words, position

    def take(self, count: int) -> np.ndarray:
        self._position += count
        return self._words[self._position - count : self._position]

    def weights(self, count: int) -> np.ndarray:
        """(count, 16) weights in -8..7."""
        data = np.frombuffer(self.take(count).astype("<u8").tobytes(), np.uint8)
        pairs = np.stack([data % 16, data // 16], axis=1).astype(np.int64)
        return np.where(pairs > 7, pairs - 16, pairs).reshape(count, LANES)

    def channels(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(bias, multiplier), int64."""
        pairs = np.frombuffer(self.take(count).astype("<u8").tobytes(), "<i4").reshape(count, 2)
        return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)


def requantize(
    acc: np.ndarray, multiplier: np.ndarray, field: Mapping[str, int], unit: str
) -> np.ndarray:
    value = divide_round(acc * multiplier, 32 - field[f"{unit}_shift"])
    value += field[f"{unit}_zero_point"]
    return np.clip(value, field[f"{unit}_low"], field[f"{unit}_high"]).astype(np.int8)


def divide_round(value: np.ndarray, bits: int) -> np.ndarray:
    """value / 2^bits to the nearest integer, halves up."""
    return np.floor_divide(value + 2 ** (bits - 1), 2**bits)
