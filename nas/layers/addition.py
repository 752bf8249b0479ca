# SPDX-License-Identifier: Apache-2.0
"""The sum of two tensors of one shape, each with a scale of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Add, Operator
from tinytailor.nas.layers.base import Filled, Integers, Kind, Single, Tensors, Weights
from tinytailor.nas.layers.onnx_step import OnnxStep


@dataclass(frozen=True, slots=True)
class Addition(Single):
    """y = a + b, then ReLU where ``relu``."""

    name: ClassVar[str] = "addition"

    relu: bool = False

    def operator(self, *shapes: Shape) -> Operator:
        return Add()

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        a, b = values
        return self.joined(a + b)

    def joined(self, total: Tensor) -> Tensor:
        return functional.relu(total) if self.relu else total

    def filled(self, op: Operator, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        a, b = reads
        added = Add.from_scales(a, b, writes)
        return (replace(added, low=writes.zero_point) if self.relu else added), {}

    def onnx(self, step: OnnxStep) -> None:
        total = f"{step.name}_sum" if self.relu else step.target
        step.node("Add", step.sources, total)
        if self.relu:
            step.node("Relu", [total], step.target)

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        shapes = ((1, 6, 5, 4), (1, 6, 5, 4))
        return (cls(), shapes), (cls(relu=True), shapes)
