# SPDX-License-Identifier: Apache-2.0
"""The largest value of the map: one a channel, quantized as what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import MaxPool2d, Operator
from tinytailor.compiler.ops.window import Window
from tinytailor.nas.layers.base import Kind, Single, Weights
from tinytailor.nas.layers.onnx_step import OnnxStep
from tinytailor.nas.quantization.base import Affine, Quantized, Quantizer


@dataclass(frozen=True, slots=True)
class MaximumPool(Single):
    """(1, H, W, C) to (1, 1, 1, C)."""

    name: ClassVar[str] = "maximum_pool"

    def operator(self, *shapes: Shape) -> Operator:
        _, height, width, _ = shapes[0]
        return MaxPool2d(Window((height, width)))

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        return values[0].amax((2, 3), keepdim=True)

    def quantization(
        self, quantizer: Quantizer, low: float, high: float, reads: tuple[Quantized, ...]
    ) -> Affine:
        return Affine(reads[0].scale, reads[0].zero_point)

    def onnx(self, step: OnnxStep) -> None:
        step.node("GlobalMaxPool", step.sources, step.target)

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return ((cls(), ((1, 5, 3, 8),)), (cls(), ((1, 12, 1, 4),)))
