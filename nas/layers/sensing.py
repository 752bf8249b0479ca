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
from tinytailor.compiler.frontend.onnx.compand import compand_constants
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
from tinytailor.nas.layers.lines import STEEP, Lines, chords, straight
from tinytailor.nas.layers.onnx_step import OnnxStep, Stored
from tinytailor.nas.quantization.base import Affine, Quantized, Quantizer

SENSED = Affine(1 / 32, 0)  # of the int8 it writes


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
        constants = {"source": np.array(self.channels), **integers}
        return {role: Stored(value) for role, value in compand_constants(constants).items()}

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

    def fill(self, lines: Lines) -> None:
        """``lines`` are those of all channels of the data."""
        index = list(self.sensing.channels)
        slope, base = lines.companded if self.sensing.companding else lines.straight
        self.offset.copy_(lines.offset[index])
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
