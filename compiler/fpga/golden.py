# SPDX-License-Identifier: Apache-2.0
"""An independent interpreter of packed programs: what the engine must compute, in numpy.

It reads the emitted bytes, not the graph, so a slip in packing, in addressing or in the operator
shows as a difference. What a unit computes is in its ``golden.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.fpga.program import FIELDS, FLAGS, STEP_WORDS
from tinytailor.compiler.fpga.units import UNITS
from tinytailor.compiler.fpga.units.reading import Reader


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """``output`` (N, H, W, C padded) int8; ``chosen`` (N, H, W) by the name of a unit: what it
    chose at each pixel, if it chooses."""

    output: np.ndarray
    chosen: Mapping[str, np.ndarray]


def run(descriptors: bytes, weights: bytes, images: np.ndarray) -> list[StepResult]:
    """Execute a program on images (N, H, W, C padded to 16) int8; one result per step."""
    table = np.frombuffer(descriptors, "<i4").reshape(-1, STEP_WORDS)
    words = np.frombuffer(weights, "<u8")
    results: list[StepResult] = []
    x = images
    for row in table:
        field = dict(zip(FIELDS, (int(value) for value in row), strict=False))
        reader = Reader(words, field["weights"])
        chosen: dict[str, np.ndarray] = {}
        for unit in UNITS:
            if field["flags"] & FLAGS[unit.name]:
                x, choice = unit.golden(x, field, reader)
                if choice is not None:
                    chosen[unit.name] = choice
        results.append(StepResult(x, chosen))
    return results
