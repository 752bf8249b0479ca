# SPDX-License-Identifier: Apache-2.0
"""int8: weights symmetric per output channel, activations per tensor with a zero point.

    w_q = clip(round(w / s_w[o]), -127, 127),   s_w[o] = max |w[o]| / 127
    x_q = clip(round(x / s) + z, -128, 127),    s = (high - low) / 255

as in Krishnamoorthi 2018 (arXiv 1806.08342). s_w is kept in a band: high enough that the bias fits
in 31 bits, and low enough that s_in * s_w / s_out < 1/2, so that no accumulator needs a shift
before its multiplication and every network of a space uses the operators that were measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tinytailor.compiler.real_values import HIGH, LOW
from tinytailor.nas.quantization.base import Affine, Quantized

WEIGHT_LIMIT = 127
LARGEST_RATIO = 0.49
LARGEST_BIAS = 2.0**30


@dataclass(frozen=True, slots=True)
class Int8:
    """See the module's text."""

    name: str = "int8"

    def activation(self, low: float, high: float) -> Affine:
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / (HIGH - LOW), 1e-6)
        # The float32 value is what every later step uses, so it is rounded here once.
        scale = float(torch.tensor(scale, dtype=torch.float32))
        zero_point = round(LOW - low / scale)
        return Affine(scale, min(max(zero_point, LOW), HIGH))

    def weight_scale(
        self, weight: Tensor, bias: Tensor, source: Quantized, target: Quantized
    ) -> Tensor:
        with torch.no_grad():
            scale = weight.abs().amax(dim=(1, 2, 3)) / WEIGHT_LIMIT
            floor = (bias.abs() / (source.scale * LARGEST_BIAS)).clamp(min=1e-9)
            return torch.maximum(scale, floor).clamp(
                max=LARGEST_RATIO * target.scale / source.scale
            )

    def integers(self, value: Tensor, scale: Tensor) -> Tensor:
        steps = torch.round(value / scale.reshape(-1, 1, 1, 1))
        return steps.clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)

    def fake_weight(self, weight: Tensor, scale: Tensor) -> Tensor:
        rounded = self.integers(weight, scale) * scale.reshape(-1, 1, 1, 1)
        return weight + (rounded - weight).detach()

    def fake_activation(self, value: Tensor, quantization: Quantized) -> Tensor:
        scale, zero_point = quantization.scale, quantization.zero_point
        inside = value.clamp((LOW - zero_point) * scale, (HIGH - zero_point) * scale)
        rounded = torch.round(inside / scale) * scale
        return inside + (rounded - inside).detach()
