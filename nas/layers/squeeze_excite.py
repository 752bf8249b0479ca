# SPDX-License-Identifier: Apache-2.0
"""Squeeze and excite: every channel times a gate that is computed from the means of all channels.

    y = x * sigmoid(W2 relu(W1 mean(x) + b1) + b2),     W1 to a ``ratio``-th of the channels

Hu et al. 2018, arXiv 1709.01507; without batch norm, as there. A gate is one of 0/256 .. 255/256.
The product's scale is no finer than makes s_x / 256 / s_y stay below 1/2: a finer one would need a
shift, and so another operator than the one that is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Mul, Operator
from tinytailor.compiler.real_values import LOW
from tinytailor.nas.layers.base import Filled, Integers, Kind, Primitive, Step, Tensors, Weights
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.layers.onnx_step import OnnxStep
from tinytailor.nas.layers.table import Table
from tinytailor.nas.quantization.base import Affine, Quantized, Quantizer

LEAST_SQUEEZED = 4
GATE = Affine(1 / 256, LOW)
LARGEST_RATIO = 0.49


@dataclass(frozen=True, slots=True)
class SqueezeExcite(Kind):
    """``ratio``: how many channels share one of the values that the gates are computed from."""

    name: ClassVar[str] = "squeeze_excite"

    ratio: int = 4

    @property
    def one_width(self) -> bool:
        return True

    def at(self, channels: int) -> Kind:
        return self

    def steps(self, *shapes: Shape) -> tuple[Step, ...]:
        channels = shapes[0][3]
        squeezed = max(channels // self.ratio, LEAST_SQUEEZED)
        squeeze = Convolution((1, 1), norm=False, channels=squeezed)
        excite = Convolution((1, 1), relu=False, norm=False, channels=channels)
        return (
            Step(MeanPool(), (0,), "mean"),
            Step(squeeze, ("mean",), "squeezed"),
            Step(excite, ("squeezed",), "excited"),
            Step(Sigmoid(), ("excited",), "gate"),
            Step(Product(), (0, "gate")),
        )

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return (cls(), ((1, 5, 7, 16),)), (cls(2), ((1, 4, 6, 24),))


@dataclass(frozen=True, slots=True)
class Sigmoid(Table):
    """The gates, a table of them."""

    onnx_name: ClassVar[str] = "Sigmoid"

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        return torch.sigmoid(values[0])

    def real(self, x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    def quantization(
        self, quantizer: Quantizer, low: float, high: float, reads: tuple[Quantized, ...]
    ) -> Affine:
        return GATE


@dataclass(frozen=True, slots=True)
class Product(Primitive):
    """A map times one number a channel."""

    def operator(self, *shapes: Shape) -> Operator:
        return Mul()

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        x, gate = values
        return x * gate

    def quantization(
        self, quantizer: Quantizer, low: float, high: float, reads: tuple[Quantized, ...]
    ) -> Affine:
        x, gate = reads
        least = x.scale * gate.scale / LARGEST_RATIO
        wider = max(1.0, least / quantizer.activation(low, high).scale)
        return quantizer.activation(wider * low, wider * high)

    def filled(self, op: Operator, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        x, gate = reads
        return Mul.from_scales(x, gate, writes), {}

    def onnx(self, step: OnnxStep) -> None:
        step.node("Mul", step.sources, step.target)
