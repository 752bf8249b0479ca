# SPDX-License-Identifier: Apache-2.0
"""Samples of a sensor as they come, int16, to the int8 of a network: part of it, and of its cost.

Some ``channels``, every ``step``-th sample in time, each channel by a straight line or, where it is
heavy-tailed and the kind ``companding``, octave by octave along asinh: see compiler/ops/compand.py
for the integers, and training/front_end.py for where offset, slope and base come from. They are
data, not learned, and belong to whatever network reads these data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Compand, Operator
from tinytailor.compiler.ops.compand import MOST, OCTAVES, SHIFT
from tinytailor.nas.layers.base import (
    Filled,
    Integers,
    Kind,
    PlacedStep,
    Single,
    Tensors,
    Trained,
    Weights,
)
from tinytailor.nas.layers.onnx_step import OnnxStep, Stored
from tinytailor.nas.quantization.base import Affine, Quantized, Quantizer

SENSED = Affine(1 / 32, 0)  # of the int8 it writes
LEVELS = 127
STEEP = 8.0
STEEPEST = 2**15  # of a slope: half a step of int8 for one of the samples


@dataclass(frozen=True, slots=True)
class Sensing(Single):
    """``channels`` of the input, in this order; without ``companding`` all lines are straight."""

    name: ClassVar[str] = "sensing"
    mixes: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    integral: ClassVar[bool] = True

    channels: tuple[int, ...]
    step: int = 1
    companding: bool = True

    def operator(self, *shapes: Shape) -> Operator:
        return Compand(len(self.channels), self.step, self.companding)

    def trained(self, shapes: tuple[Shape, ...], generator: torch.Generator) -> Trained:
        return TrainedSensing(self)

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        x = values[0][:, list(self.channels), :: self.step]
        t = x - weights["offset"][:, None, None]
        a = t.abs().clamp(max=MOST)
        if self.companding:
            octave = torch.frexp(a.floor())[1].long()
            at = octave + OCTAVES * torch.arange(len(self.channels))[:, None, None]
            slope, base = (weights[role].flatten()[at] for role in ("slope", "base"))
        else:
            slope, base = (weights[role][:, :, None] for role in ("slope", "base"))
        # Rounding is half a step in the base, which a network in float does without.
        level = ((a * slope + base) / 2**SHIFT - 0.5).clamp(0, 128)
        return torch.where(t >= 0, level, -level).clamp(-128, 127) * SENSED.scale

    def quantization(
        self, quantizer: Quantizer, low: float, high: float, reads: tuple[Quantized, ...]
    ) -> Affine:
        return SENSED

    def fake(
        self, weights: Weights, quantizer: Quantizer, reads: Tensors, writes: ir.Tensor
    ) -> Weights:
        return weights

    def integers(
        self, weights: Weights, quantizer: Quantizer, reads: Tensors, writes: ir.Tensor
    ) -> Integers:
        return {role: value.numpy().astype(np.int32) for role, value in weights.items()}

    def filled(self, op: Operator, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        exact = Compand(len(self.channels), self.step, self.companding, writes.zero_point)
        constants = {
            "source": np.array(self.channels, np.int16),
            "offset": integers["offset"].astype(np.int16),
            "slope": integers["slope"],
            "base": integers["base"],
        }
        return exact, constants

    def stored(self, integers: Integers, reads: Tensors) -> Mapping[str, Stored]:
        return {
            "source": Stored(np.array(self.channels, np.int64)),
            **{role: Stored(value) for role, value in integers.items()},
        }

    def onnx(self, step: OnnxStep) -> None:
        step.compand(self.step, self.companding, SENSED.zero_point)

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return (
            (cls((0, 1, 2)), ((1, 12, 1, 3),)),
            (cls((2, 0), 2, companding=False), ((1, 9, 2, 3),)),
        )


class TrainedSensing(Trained):
    """The lines of the channels; until ``fill`` those of a channel that uses all of its range."""

    offset: Tensor
    slope: Tensor
    base: Tensor

    def __init__(self, sensing: Sensing) -> None:
        super().__init__()
        self.sensing = sensing
        count = len(sensing.channels)
        slope, base = chords(MOST, MOST / STEEP) if sensing.companding else straight(MOST)
        self.register_buffer("offset", torch.zeros(count))
        self.register_buffer("slope", torch.from_numpy(slope).float().repeat(count, 1))
        self.register_buffer("base", torch.from_numpy(base).float().repeat(count, 1))

    def fill(self, offset: Tensor, slope: Tensor, base: Tensor) -> None:
        """Of all channels of the data, (C,) and (C, octaves): the lines of mine."""
        index = list(self.sensing.channels)
        self.offset.copy_(offset[index])
        self.slope.copy_(slope[index])
        self.base.copy_(base[index])

    def forward(self, x: Tensor) -> Tensor:
        return self.sensing.compute(self.folded(), x)

    def folded(self) -> Weights:
        return {"offset": self.offset, "slope": self.slope, "base": self.base}

    def part(self, step: PlacedStep) -> dict[str, Tensor]:
        return dict(self.folded())

    def nested(self, step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
        y: Tensor = self(*values)
        return y


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
