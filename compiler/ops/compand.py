# SPDX-License-Identifier: Apache-2.0
"""Samples of a sensor, int16, companded to int8: where a network takes them as they come.

    t = x[h step, w, source[k]] - offset[k]
    a = min(|t|, 32767)
    e = bits of a                                0 of 0, else floor(log2 a) + 1; 0 if not segmented
    y = (a slope[k, e] + base[k, e]) >> 16
    q = clip(zero_point + (y if t >= 0 else -y), -128, 127)

Each octave of a channel is a straight piece of its own, as in the A-law of ITU-T G.711, where every
octave has the same number of steps. Not segmented there is one piece: a scale for each channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import Channels, Fewer
from tinytailor.compiler.ops.traits.constants import ConstantSpec, ConstantSpecs, places
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import EXAMPLE_ZERO_POINT, FLAG, NUMBER, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import Range, Ranges
from tinytailor.targets.errors import InputError

OCTAVES = 16  # of a: 0 has none, 32767 is in the last
MOST = 32767  # of a
SHIFT = 16
_STARTS = 1 << np.arange(OCTAVES - 1)
ENDS = np.unique(np.concatenate([[0, MOST], _STARTS, _STARTS - 1]))  # of the pieces, a


def octaves(a: np.ndarray) -> np.ndarray:
    """Bits of 0 to 32767."""
    return np.searchsorted(_STARTS, a, side="right")


def companded(
    t: np.ndarray, slope: np.ndarray, base: np.ndarray, zero_point: int, segmented: bool
) -> np.ndarray:
    """int8 of differences (..., K) with slopes and bases (K, octaves)."""
    a = np.minimum(np.abs(t.astype(np.int64)), MOST)
    piece = octaves(a) if segmented else np.zeros_like(a)
    channel = np.arange(len(slope))
    y = (a * slope[channel, piece].astype(np.int64) + base[channel, piece]) >> SHIFT
    return np.clip(zero_point + np.where(t >= 0, y, -y), -128, 127).astype(np.int8)


def _slopes(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Of pieces that rise by 4 to 40 within their octave, or that reach 127 at the end."""
    octave = np.arange(shape[1]) if shape[1] > 1 else np.array([OCTAVES - 1])
    return rng.uniform(4, 40, shape) * 2.0 ** (SHIFT + 1 - np.maximum(octave, 1))


def _bases(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.integers(0, 64 << SHIFT, shape)


@dataclass(frozen=True, slots=True)
class Compand(Operator):
    """``step``: every so many-th sample in time is taken; ``filters``: channels of the output, each
    of the channel ``source`` of the input; not ``segmented``, slope and base have one column."""

    kind: ClassVar[str] = "compand"

    filters: int = field(metadata=NUMBER)
    step: int = field(default=1, metadata=NUMBER)
    segmented: bool = field(default=True, metadata=FLAG)
    zero_point: int = field(default=EXAMPLE_ZERO_POINT, metadata=ZERO_POINT)

    @property
    def columns(self) -> int:
        """Of slope and base."""
        return OCTAVES if self.segmented else 1

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or self.filters < 1 or self.step < 1:
            raise InputError(
                f"compand: shape {x}, {self.filters} channels of every {self.step} samples, "
                "expected samples (1, T, W, C) and positive numbers"
            )
        return (x[0], -(-x[1] // self.step), x[2], self.filters)

    def dtypes(self, *read: str) -> tuple[str, ...]:
        return ("int16", "int8")

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        pieces = (self.filters, self.columns)
        return {
            "source": places(self.filters, inputs[0][-1]),
            "offset": ConstantSpec(
                pieces[:1], "int16", lambda rng, shape: rng.integers(-999, 1000, shape)
            ),
            "slope": ConstantSpec(pieces, "int32", _slopes),
            "base": ConstantSpec(pieces, "int32", _bases),
        }

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x = inputs[0][:, :: self.step, :, constants["source"]].astype(np.int64)
        t = x - constants["offset"]
        pieces = constants["slope"], constants["base"]
        return companded(t, *pieces, self.zero_point, self.segmented)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        """Each piece rises or falls, so that its ends bound it."""
        source, offset = constants["source"], constants["offset"].astype(np.int64)
        ends = np.concatenate([-ENDS[::-1], ENDS])[:, None]
        t = np.clip(ends, reads[0].low[source] - offset, reads[0].high[source] - offset)
        pieces = constants["slope"], constants["base"]
        q = companded(t, *pieces, self.zero_point, self.segmented).astype(np.int64)
        return Range(q.min(axis=0), q.max(axis=0))

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        """a slope + base at the ends of all pieces."""
        piece = octaves(ENDS) if self.segmented else np.zeros_like(ENDS)
        slope, base = (constants[role].astype(np.int64)[:, piece] for role in ("slope", "base"))
        sums = ENDS * slope + base
        return Range(sums.min(axis=1), sums.max(axis=1))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return ()

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Compand, Constants]:
        left = {role: np.ascontiguousarray(a[fewer.stay]) for role, a in constants.items()}
        return replace(self, filters=fewer.count), left

    @classmethod
    def examples(cls) -> Examples:
        return {
            "compand": (cls(9), one_map(7, 1, 9)),
            "compand_one_channel": (cls(1), one_map(5, 1, 1)),
            "compand_some_of_a_map": (cls(3), one_map(4, 5, 7)),
            "compand_every_second": (cls(4, 2), one_map(9, 1, 3)),
            "compand_every_third_of_a_map": (cls(2, 3), one_map(8, 4, 2)),
            "compand_straight": (cls(5, 1, False), one_map(6, 2, 4)),
            "compand_straight_every_second": (cls(3, 2, False), one_map(6, 3, 2)),
        }
