# SPDX-License-Identifier: Apache-2.0
"""The mean over the map: one value a channel.

It is quantized as what it reads, so the mean of the integers is the integer of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import AveragePool2d, Operator
from tinytailor.compiler.ops.window import Window
from tinytailor.nas.layers.base import Filled, Integers, Kind, Single, Tensors, Weights
from tinytailor.nas.layers.onnx_step import OnnxStep
from tinytailor.nas.quantization.base import Affine, Quantized, Quantizer


@dataclass(frozen=True, slots=True)
class MeanPool(Single):
    """(1, H, W, C) to (1, 1, 1, C)."""

    name: ClassVar[str] = "mean_pool"

    def operator(self, *shapes: Shape) -> Operator:
        _, height, width, _ = shapes[0]
        return AveragePool2d(Window((height, width)), ties_even=height * width % 2 == 0)

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        return values[0].mean((2, 3), keepdim=True)

    def quantization(
        self, quantizer: Quantizer, low: float, high: float, reads: tuple[Quantized, ...]
    ) -> Affine:
        return Affine(reads[0].scale, reads[0].zero_point)

    def filled(self, op: Any, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        zero_point = reads[0].zero_point if op.ties_even else 0
        return replace(op, input_zero_point=zero_point), {}

    def onnx(self, step: OnnxStep) -> None:
        step.node("GlobalAveragePool", step.sources, step.target)

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return ((cls(), ((1, 5, 3, 8),)), (cls(), ((1, 4, 6, 4),)))
