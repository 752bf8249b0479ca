# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution with multiplier 1, int8, NHWC.

    acc[h,w,c] = bias[c] + sum_{i,j} x[h*s + i*d - p, w*s + j*d - p, c] * weight[i,j,c]
    y[h,w,c]   = requant(acc[h,w,c], multiplier[c])

The bias already holds -zp_x * sum(weight[:,:,c]) and the border reads zp_x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import (
    EXAMPLE_ZERO_POINT,
    ConstantShapes,
    example_requant,
    requant_attributes,
)
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    output_size,
    padding4,
    pair,
    windows,
)
from tinytailor.compiler.requantization import Requant


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d:
    kind: ClassVar[str] = "depthwise_conv2d"

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    input_zero_point: int = 0
    requant: Requant = Requant()
    weight_bits: int = 8

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1]

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        channels = inputs[0][3]
        return {
            "weight": narrow_weights.stored((*self.kernel, channels), self.weight_bits, 2),
            "bias": ((channels,), "int32"),
            "multiplier": ((channels,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            **requant_attributes(self.requant),
            "weight_bits": self.weight_bits,
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> DepthwiseConv2d:
        return cls(
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            pair(attributes["dilation"]),
            input_zero_point=EXAMPLE_ZERO_POINT,
            requant=example_requant(attributes),
            weight_bits=int(attributes["weight_bits"]),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        (x,) = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        shape = (*self.kernel, x.shape[3])
        weight = narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 2)
        acc = np.einsum("nhwijc,ijc->nhwc", view.astype(np.int64), weight.astype(np.int64))
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])
