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

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.compiler.ops.geometry import Pair, Padding, output_size, padding4, pair, windows
from tinytailor.compiler.quantization import Requant


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d:
    kind: ClassVar[str] = "depthwise_conv2d"

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    input_zero_point: int = 0
    requant: Requant = Requant()

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
            "weight": ((*self.kernel, channels), "int8"),
            "bias": ((channels,), "int32"),
            "multiplier": ((channels,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            "shifted": self.requant.shift > 0,
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> DepthwiseConv2d:
        return cls(
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            pair(attributes["dilation"]),
            requant=Requant(shift=int(attributes["shifted"])),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        (x,) = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        acc = np.einsum(
            "nhwijc,ijc->nhwc", view.astype(np.int64), constants["weight"].astype(np.int64)
        )
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])
