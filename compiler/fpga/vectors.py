# SPDX-License-Identifier: Apache-2.0
"""Golden test vectors: seeded images that drive the deformable layers through all dilations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.fpga.golden import StepResult, run
from tinytailor.compiler.fpga.program import Program, blocks
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops.square_deform_dw import MAX_DILATION
from tinytailor.targets.fpga import LANES

MIN_IMAGES, MAX_IMAGES = 2, 4  # two runs in a row show that no state is left over


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """``images`` (N, H, W, C padded) int8 and the golden output of every step on them."""

    images: np.ndarray
    results: list[StepResult]

    def histogram(self, step: int) -> list[int] | None:
        """Pixels per dilation 0..7 of a deformable step, over all images."""
        dilations = self.results[step].dilations
        if dilations is None:
            return None
        return [int(count) for count in np.bincount(dilations.ravel(), minlength=MAX_DILATION + 1)]


def make_vectors(program: Program, seed: int) -> Vectors:
    """Of nine seeded images, the few that together show the most dilations in every layer."""
    shape = program.steps[0].source
    trials = [
        (image, run(program.descriptors, program.weights, image))
        for image in _candidates(shape, np.random.default_rng(seed))
    ]
    seen: set[tuple[int, int]] = set()
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


def pad_channels(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) to the layout of feature memory, channels filled up with zeros."""
    missing = blocks(images.shape[-1]) * LANES - images.shape[-1]
    return np.ascontiguousarray(np.pad(images, ((0, 0), (0, 0), (0, 0), (0, missing))))


def _shown(results: list[StepResult]) -> set[tuple[int, int]]:
    """(step, dilation) pairs that occur."""
    return {
        (step, int(dilation))
        for step, result in enumerate(results)
        if result.dilations is not None
        for dilation in np.unique(result.dilations)
    }


def _joined(parts: list[StepResult]) -> StepResult:
    dilations = [part.dilations for part in parts if part.dilations is not None]
    return StepResult(
        np.concatenate([part.output for part in parts]),
        np.concatenate(dilations) if dilations else None,
    )


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
            yield pad_channels(np.clip(values, -128, 127).astype(np.int8)[None])
