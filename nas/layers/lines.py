# SPDX-License-Identifier: Apache-2.0
"""Lines that samples are turned into int8 by, as integers of the operator compand.

straight    127 t / reach
companded   127 asinh(k t) / asinh(k reach), k = STEEP / deviation, by its chord in each octave
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tinytailor.compiler.ops.compand import OCTAVES, SHIFT

LEVELS = 127
STEEP = 8.0
STEEPEST = 2**15  # of a straight slope: half a step of int8 for one of the samples

Pieces = tuple[Tensor, Tensor]  # slopes and bases (C, pieces)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Of each of C channels: ``offset`` (C,), the ``straight`` line, of one piece, and the
    ``companded`` one, of one piece an octave."""

    offset: Tensor
    straight: Pieces
    companded: Pieces


def straight(reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope and base (1,) of 127 t / reach."""
    slope = np.minimum(np.rint(LEVELS / reach * 2**SHIFT), STEEPEST)
    return np.array([slope]), np.array([2.0 ** (SHIFT - 1)])


def chords(reach: float, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and bases (octaves,) of the chords of 127 asinh(k t) / asinh(k reach), k being STEEP
    over the deviation."""
    k = STEEP / deviation
    ends = np.array([0.0, *(2.0**e for e in range(OCTAVES))])
    y = LEVELS * np.arcsinh(k * ends) / np.arcsinh(k * reach)
    # Octave 0 is a = 0 alone, and octave e goes from 2^(e-1) to 2^e; the first chord begins at 0.
    low, high = np.array([0.0, 0.0, *ends[2:-1]]), ends[1:]
    at_low = np.interp(low, ends, y)
    slope = (y[1:] - at_low) / (high - low)
    # No sum may leave 31 bits.
    slope = np.minimum(np.rint(slope * 2**SHIFT), 2.0 ** (30 - np.arange(OCTAVES)))
    base = np.rint(at_low * 2**SHIFT) - slope * low + 2.0 ** (SHIFT - 1)
    return slope, np.maximum(base, 0.0)
