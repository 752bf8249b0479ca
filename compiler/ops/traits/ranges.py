# SPDX-License-Identifier: Apache-2.0
"""Intervals by channel (the last axis): what numbers an operator can read, reach and write.

A weighted sum is bounded by interval arithmetic, and requantization rises with its accumulator, so
its ends bound the result:

    low[o] = bias[o] + sum_c w+[o,c] * x.low[c] + w-[o,c] * x.high[c]      w+ and w-: the parts of w
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tinytailor.compiler.ir import Constants, Shape
from tinytailor.compiler.requantization import Requant

if TYPE_CHECKING:
    from tinytailor.compiler.ops.base import Operator


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Inclusive, int64, one number per channel."""

    low: np.ndarray
    high: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """Which channels have one value only."""
        return self.low == self.high

    def widened(self, value: int) -> Range:
        return Range(np.minimum(self.low, value), np.maximum(self.high, value))

    def clipped(self, low: int, high: int) -> Range:
        return Range(np.clip(self.low, low, high), np.clip(self.high, low, high))

    def plus(self, values: np.ndarray | int) -> Range:
        return Range(self.low + values, self.high + values)

    def times(self, factor: np.ndarray | int) -> Range:
        return enclosing(self.low * factor, self.high * factor)

    def joined(self, other: Range) -> Range:
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def spread(self, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
        """Low and high of every element of a tensor of this shape."""
        return np.broadcast_to(self.low, shape), np.broadcast_to(self.high, shape)


Ranges = tuple[Range, ...]


def full(channels: int, low: int = -128, high: int = 127) -> Range:
    return Range(np.full(channels, low), np.full(channels, high))


def enclosing(*values: np.ndarray) -> Range:
    """The least interval of each channel around tensors (..., channels)."""
    rows = [value.astype(np.int64).reshape(-1, value.shape[-1]) for value in values]
    lows, highs = ([end(row, axis=0) for row in rows] for end in (np.min, np.max))
    return Range(np.min(lows, axis=0), np.max(highs, axis=0))


def corners(op: Operator, reads: Ranges, inputs: tuple[Shape, ...], constants: Constants) -> Range:
    """Of an operator that rises or falls in each input: its extremes lie at ends of the inputs."""
    ends = [
        [end.astype(np.int8).reshape(*(1 for _ in shape[1:]), -1) for end in (x.low, x.high)]
        for x, shape in zip(reads, inputs, strict=True)
    ]
    return enclosing(*(op.reference(corner, constants) for corner in product(*ends)))


def sums(weight: np.ndarray, x: Range, groups: int = 1) -> Range:
    """sum x * weight for weights (outputs, ..., channels / groups)."""
    outputs, channels = weight.shape[0], weight.shape[-1]
    parts = weight.astype(np.int64).reshape(groups, outputs // groups, -1, channels)
    above, below = (side(parts, 0).sum(axis=2) for side in (np.maximum, np.minimum))
    low, high = (end.reshape(groups, channels, 1) for end in (x.low, x.high))
    return Range((above @ low + below @ high).ravel(), (above @ high + below @ low).ravel())


def by_channel(weight: np.ndarray) -> np.ndarray:
    """Weights (..., channels), of as many groups, as ``sums`` takes them."""
    return np.moveaxis(weight, -1, 0)[..., None]


def requantized(q: Requant, acc: Range, multiplier: np.ndarray) -> Range:
    return enclosing(q.apply(acc.low, multiplier), q.apply(acc.high, multiplier))


def accumulated(terms: Range, bias: np.ndarray, shift: int) -> Range:
    """What 32 bits must hold of a sum over all int8 inputs: its terms alone, and with the bias, as
    they are shifted before they are scaled."""
    total = terms.plus(bias.astype(np.int64))
    return terms.joined(Range(total.low << shift, total.high << shift))
