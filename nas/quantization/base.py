# SPDX-License-Identifier: Apache-2.0
"""What a quantizer is: how ranges and weights become integers, in training and for the device.

activation   real = scale * (q - zero_point),    q in -128..127, one scale a tensor
weight       real = weight_scale[o] * q,         one scale an output channel
bias         real = (s_in * weight_scale[o]) * q, int32
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from tinytailor.compiler.real_values import Standardization, dequantized, quantized


@dataclass(frozen=True, slots=True)
class Affine:
    """Scale (a float32 value) and zero point of an activation tensor."""

    scale: float
    zero_point: int


class Quantized(Protocol):
    """Whatever has a scale and a zero point: an Affine, a tensor of an integer graph."""

    @property
    def scale(self) -> float: ...

    @property
    def zero_point(self) -> int: ...


class Quantizer(Protocol):
    """How ranges and weights become integers. Torch in, torch out; gradients pass through."""

    @property
    def name(self) -> str: ...

    def activation(self, low: float, high: float) -> Affine:
        """The quantization of a tensor whose values lie in ``low..high`` (0 is always included)."""

    def weight_scale(
        self, weight: Tensor, bias: Tensor, source: Quantized, target: Quantized
    ) -> Tensor:
        """Scales (O,) float32 of weight (O, I, kh, kw), for a layer ``source`` to ``target``."""

    def integers(self, value: Tensor, scale: Tensor) -> Tensor:
        """Integers, as a float tensor, that ``value`` (a weight) rounds to at ``scale``."""

    def fake_weight(self, weight: Tensor, scale: Tensor) -> Tensor:
        """``weight`` rounded to scale * integers, straight-through."""

    def fake_activation(self, value: Tensor, quantization: Quantized) -> Tensor:
        """``value`` rounded to the tensor's grid and clamped, straight-through inside the range."""


def quantize(x: np.ndarray, quantization: Quantized) -> np.ndarray:
    """float32 to int8, as ONNX QuantizeLinear: round half to even, add the zero point, saturate."""
    return quantized(x, Standardization.plain(quantization.scale), quantization.zero_point)


def dequantize(q: np.ndarray, quantization: Quantized) -> np.ndarray:
    """int8 to float32."""
    return dequantized(q, quantization.scale, quantization.zero_point)
