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

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Sampled
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, biases, layer, scales, weights
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import REQUANT, ZERO_POINT, in_key
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    accumulated,
    by_channel,
    full,
    sums,
)
from tinytailor.compiler.ops.window import check_map, sampled
from tinytailor.compiler.requantization import Requant

MAX_DILATION = 7
TAPS = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class SquareDeformDW(Sampled):
    """``offset_shift`` belongs to the requantization of the offset, ``requant`` is the output's."""

    kind: ClassVar[str] = "square_deform_dw"

    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    offset_shift: int = field(
        default=0,
        metadata=in_key(
            lambda _, shift: {"offset_shifted": shift > 0},
            lambda _, attributes: int(attributes["offset_shifted"]),
        ),
    )
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        check_map(self.kind, x)
        return x

    def macs(self, *inputs: Shape) -> int:
        _, height, width, channels = self.output_shape(*inputs)
        return height * width * channels * (len(TAPS) ** 2 + 1)

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        channels = inputs[0][3]
        return {
            "offset_weight": weights((channels,)),
            "offset_bias": biases((1,)),
            "offset_multiplier": scales((1,)),
            **layer(weights((len(TAPS), len(TAPS), channels)), channels),
        }

    def dilations(self, x: np.ndarray, constants: Constants) -> np.ndarray:
        """(N, H, W, C) to the dilation of each pixel, (N, H, W) int8 in 0..7."""
        acc = x.astype(np.int64) @ constants["offset_weight"].astype(np.int64)
        to_pixels = Requant(shift=self.offset_shift, low=0, high=MAX_DILATION)
        acc = acc[..., None] + constants["offset_bias"]
        return to_pixels.apply(acc, constants["offset_multiplier"])[..., 0]

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        (x,) = inputs
        d = self.dilations(x, constants).astype(np.int64)
        row, column = np.indices(x.shape[1:3])
        acc = np.broadcast_to(constants["bias"].astype(np.int64), x.shape).copy()
        for i in TAPS:
            for j in TAPS:
                tap = sampled(x, row + i * d, column + j * d, self.input_zero_point)
                acc += tap.astype(np.int64) * constants["weight"][i + 1, j + 1]
        return self.requant.apply(acc, constants["multiplier"])

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        return sums(by_channel(constants["weight"]), x, inputs[0][3])

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        offset = sums(constants["offset_weight"][None], full(inputs[0][3]))
        to_pixels = accumulated(offset, constants["offset_bias"], self.offset_shift)
        return Sampled.accumulators(self, inputs, constants).joined(to_pixels)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "square_deform": (cls(), one_map(9, 11, 8)),
            "square_deform_odd_channels": (cls(), one_map(6, 5, 3)),
        }
