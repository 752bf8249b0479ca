# SPDX-License-Identifier: Apache-2.0
"""Convolution, int8, NHWC, one group.

    acc[h,w,o] = bias[o] + sum_{i,j,c} x[h*s + i*d - p, w*s + j*d - p, c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])

The bias already holds -zp_x * sum(weight[o]) and the border reads zp_x, so the sum runs over raw x.
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
class Conv2d:
    kind: ClassVar[str] = "conv2d"

    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    input_zero_point: int = 0
    requant: Requant = Requant()

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        return (1, *size, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1] * inputs[0][3]

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        oc = self.out_channels
        return {
            "weight": ((oc, *self.kernel, inputs[0][3]), "int8"),
            "bias": ((oc,), "int32"),
            "multiplier": ((oc,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {
            "out_channels": self.out_channels,
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            "shifted": self.requant.shift > 0,
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Conv2d:
        return cls(
            int(attributes["out_channels"]),
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
        n, oh, ow = view.shape[:3]
        # float64 holds these integers exactly and multiplies through BLAS.
        columns = view.reshape(n * oh * ow, -1).astype(np.float64)
        weight = constants["weight"].reshape(self.out_channels, -1).astype(np.float64)
        acc = (columns @ weight.T).astype(np.int64) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"]).reshape(n, oh, ow, -1)
