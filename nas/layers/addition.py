# SPDX-License-Identifier: Apache-2.0
"""The sum of two tensors of one shape, each with a scale of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Add, Operator
from tinytailor.nas.layers.base import Filled, Integers, Kind, Single, Tensors, Weights
from tinytailor.nas.layers.onnx_step import OnnxStep


@dataclass(frozen=True, slots=True)
class Addition(Single):
    """y = a + b."""

    name: ClassVar[str] = "addition"

    def operator(self, *shapes: Shape) -> Operator:
        return Add()

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        a, b = values
        return a + b

    def filled(self, op: Operator, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        a, b = reads
        return Add.from_scales(a, b, writes), {}

    def onnx(self, step: OnnxStep) -> None:
        step.node("Add", step.sources, step.target)

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return ((cls(), ((1, 6, 5, 4), (1, 6, 5, 4))),)
