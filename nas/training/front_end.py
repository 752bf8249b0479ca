# SPDX-License-Identifier: Apache-2.0
"""How the samples of each channel become int8, from the samples that are trained on.

    t = x - offset                  offset: the rounded mean
    reach r                         COVERAGE of all |t| are below it
    straight    y = 127 t / r
    companded   y = 127 asinh(k t) / asinh(k r), linear within each octave: `chords`

A channel is companded if it is heavy-tailed: its reach is HEAVY times the median of |t| or more. So
a sensor at rest is seen in steps finer than those of its largest swings, as the A-law does it for
speech (ITU-T G.711); asinh has the slope of a line at 0 and of a logarithm far from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tinytailor.compiler.ops.compand import MOST, OCTAVES
from tinytailor.nas.layers.base import Trained
from tinytailor.nas.layers.lines import Lines, chords, straight

COVERAGE = 0.9995
HEAVY = 8.0
MOST_VALUES = 500_000  # from which a reach is estimated


@dataclass(frozen=True, slots=True, eq=False)
class FrontEnd:
    """The ``lines`` of C channels; ``heavy`` (C,): whose two lines differ."""

    lines: Lines
    heavy: np.ndarray

    def fill(self, network: nn.Module) -> None:
        """Set the lines of every module of ``network`` that senses."""
        for module in network.modules():
            if isinstance(module, Trained):
                module.fill(self.lines)


def front_end(x: np.ndarray) -> FrontEnd:
    """Of samples (N, ..., C), in steps of the sensor."""
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    flat = flat[:: max(1, len(flat) // MOST_VALUES)]
    offset = np.clip(np.rint(flat.mean(axis=0)), -MOST, MOST)
    t = np.abs(flat - offset)
    reach = np.maximum(np.quantile(t, COVERAGE, axis=0), 1.0)
    middle = np.median(t, axis=0)
    deviation = np.maximum(np.sqrt((t**2).mean(axis=0)), 1e-9)
    heavy = reach >= HEAVY * np.maximum(middle, 1e-9)
    lines = [straight(one) for one in reach]
    pieces = [chords(reach[c], deviation[c]) if heavy[c] else lines[c] for c in range(len(reach))]
    plain, companded = (
        tuple(
            torch.from_numpy(np.array([np.broadcast_to(one[role], size) for one in some])).float()
            for role in (0, 1)
        )
        for some, size in ((lines, 1), (pieces, OCTAVES))
    )
    found = Lines(
        torch.from_numpy(offset).float(), (plain[0], plain[1]), (companded[0], companded[1])
    )
    return FrontEnd(found, heavy)
