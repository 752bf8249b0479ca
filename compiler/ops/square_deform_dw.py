# SPDX-License-Identifier: Apache-2.0
"""Square deformable depthwise convolution (the CoDeNet operator), int8, NHWC.

One integer dilation per pixel, made by a 1x1 convolution of the same map, spreads a 3x3 kernel:

    offset[h,w] = offset_bias + sum_c x[h,w,c] * offset_weight[c]
    d[h,w]      = clamp(requant(offset[h,w], offset_multiplier), 0, 7)
    acc[h,w,c]  = bias[c] + sum_{i,j in -1..1} x[h + i*d, w + j*d, c] * weight[i,j,c]
    y[h,w,c]    = requant(acc[h,w,c], multiplier[c])

Pixels outside the map read input_zero_point; bias and offset_bias already hold -zp_x * sum(weight).
The offset path is a requantization to scale 1 and zero point 0, so that d is a number of pixels.
It equals sum_{k in 0..7} [d == k] * DepthwiseConv(dilation=k) at an eighth of the multiplications.

In an ONNX file it is a node of domain "tinytailor", op_type "SquareDeformDW", without attributes,
on float inputs in NCHW, between DequantizeLinear and QuantizeLinear:

    x (1,C,H,W)   offset_weight (C,)   offset_bias (1,)   weight (C,1,3,3)   bias (C,)

x is a dequantized int8 activation of scale s_x. offset_weight is dequantized from int8 with one
scale s_o, weight from int8 with one scale s_w[c] per channel (axis 0), offset_bias from int32 with
scale s_x * s_o and bias from int32 with scale s_x * s_w[c], axis 0. An optional Relu may follow,
then QuantizeLinear. In floats, too, the offset is rounded half up: d = clamp(floor(o + 1/2), 0, 7).
Source: Dong et al., CoDeNet (FPGA 2021), section 3, with one of its four published forms chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import (
    EXAMPLE_ZERO_POINT,
    ConstantShapes,
    example_requant,
    requant_attributes,
)
from tinytailor.compiler.ops.geometry import sampled
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

MAX_DILATION = 7
TAPS = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class SquareDeformDW:
    """``offset_shift`` belongs to the requantization of the offset, ``requant`` is the output's."""

    kind: ClassVar[str] = "square_deform_dw"

    input_zero_point: int = 0
    offset_shift: int = 0
    requant: Requant = Requant()

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or x[0] != 1:
            raise InputError(f"{self.kind}: input shape {x}, expected (1, height, width, channels)")
        return x

    def macs(self, *inputs: Shape) -> int:
        _, height, width, channels = self.output_shape(*inputs)
        return height * width * channels * (len(TAPS) ** 2 + 1)

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        channels = inputs[0][3]
        return {
            "offset_weight": ((channels,), "int8"),
            "offset_bias": ((1,), "int32"),
            "offset_multiplier": ((1,), "int32"),
            "weight": ((3, 3, channels), "int8"),
            "bias": ((channels,), "int32"),
            "multiplier": ((channels,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {"offset_shifted": self.offset_shift > 0, **requant_attributes(self.requant)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> SquareDeformDW:
        return cls(
            input_zero_point=EXAMPLE_ZERO_POINT,
            offset_shift=int(attributes["offset_shifted"]),
            requant=example_requant(attributes),
        )

    def dilations(self, x: np.ndarray, constants: Mapping[str, np.ndarray]) -> np.ndarray:
        """(N, H, W, C) to the dilation of each pixel, (N, H, W) int8 in 0..7."""
        acc = x.astype(np.int64) @ constants["offset_weight"].astype(np.int64)
        to_pixels = Requant(shift=self.offset_shift, low=0, high=MAX_DILATION)
        acc = acc[..., None] + constants["offset_bias"]
        return to_pixels.apply(acc, constants["offset_multiplier"])[..., 0]

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        (x,) = inputs
        d = self.dilations(x, constants).astype(np.int64)
        row, column = np.indices(x.shape[1:3])
        acc = np.broadcast_to(constants["bias"].astype(np.int64), x.shape).copy()
        for i in TAPS:
            for j in TAPS:
                tap = sampled(x, row + i * d, column + j * d, self.input_zero_point)
                acc += tap.astype(np.int64) * constants["weight"][i + 1, j + 1]
        return self.requant.apply(acc, constants["multiplier"])
