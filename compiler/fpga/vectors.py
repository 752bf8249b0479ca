# SPDX-License-Identifier: Apache-2.0
"""Golden test vectors: seeded images that drive the units through all that they can choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.fpga.golden import StepResult, run
from tinytailor.compiler.fpga.program import Program
from tinytailor.compiler.fpga.units import UNITS
from tinytailor.compiler.fpga.units.words import padded
from tinytailor.compiler.ir import Tensor

Choice = tuple[int, str, int]  # step, unit, what it chose
MIN_IMAGES, MAX_IMAGES = 2, 4  # two runs in a row show that no state is left over


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """``images`` (N, H, W, C padded) int8 and the golden output of every step on them."""

    images: np.ndarray
    results: list[StepResult]

    def histograms(self, step: int) -> dict[str, list[int]]:
        """What units chose in a step -> at how many pixels of all images they chose it."""
        chosen = self.results[step].chosen
        return {
            unit.choice: np.bincount(chosen[unit.name].ravel(), minlength=unit.choices).tolist()
            for unit in UNITS
            if unit.name in chosen
        }


def make_vectors(program: Program, seed: int) -> Vectors:
    """Of nine seeded images, the few that together show the most choices in every step."""
    shape = program.steps[0].source
    trials = [
        (image, run(program.descriptors, program.weights, image))
        for image in _candidates(shape, np.random.default_rng(seed))
    ]
    seen: set[Choice] = set()
    chosen: list[int] = []
    remaining = list(range(len(trials)))
    while len(chosen) < MAX_IMAGES:
        best = max(remaining, key=lambda index: len(_shown(trials[index][1]) - seen))
        gain = _shown(trials[best][1]) - seen
        if len(chosen) >= MIN_IMAGES and not gain:
            break
        seen |= gain
        chosen.append(best)
        remaining.remove(best)
    return Vectors(
        images=np.concatenate([trials[index][0] for index in chosen]),
        results=[
            _joined([trials[index][1][step] for index in chosen])
            for step in range(len(program.steps))
        ],
    )


def _shown(results: list[StepResult]) -> set[Choice]:
    """All that occur."""
    return {
        (step, unit, int(choice))
        for step, result in enumerate(results)
        for unit, chosen in result.chosen.items()
        for choice in np.unique(chosen)
    }


def _joined(parts: list[StepResult]) -> StepResult:
    chosen = {
        unit: np.concatenate([part.chosen[unit] for part in parts]) for unit in parts[0].chosen
    }
    return StepResult(np.concatenate([part.output for part in parts]), chosen)


def _candidates(source: Tensor, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Noise, patches and ramps, each in three strengths around the zero point."""
    _, height, width, channels = source.shape
    rows, columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    for strength in (128, 64, 24):
        noise = rng.uniform(-1, 1, (height, width, channels))
        patches = rng.uniform(-1, 1, (-(-height // 4), -(-width // 4), channels))
        patches = patches.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
        slope = rng.uniform(-1, 1, (2, channels))
        ramp = slope[0] * rows / max(height, 2) + slope[1] * columns / max(width, 2)
        for pattern in (noise, patches, ramp + 0.25 * noise):
            values = np.rint(source.zero_point + strength * pattern)
            yield padded(np.clip(values, -128, 127).astype(np.int8)[None])
