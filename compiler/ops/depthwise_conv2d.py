# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution with multiplier 1, int8, NHWC.

    acc[h,w,c] = bias[c] + sum_{i,j} x[h*s + i*d - p, w*s + j*d - p, c] * weight[i,j,c]
    y[h,w,c]   = requant(acc[h,w,c], multiplier[c])

The bias already holds -zp_x * sum(weight[:,:,c]) and the border reads zp_x.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Windowed
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, linked, of_channels
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBER, REQUANT, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    by_channel,
    sums,
)
from tinytailor.compiler.ops.window import WINDOW, Window
from tinytailor.compiler.requantization import Requant


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d(Windowed):
    kind: ClassVar[str] = "depthwise_conv2d"

    window: Window = field(metadata=WINDOW)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)
    weight_bits: int = field(default=8, metadata=NUMBER)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = self.window.output_size(self.kind, x)
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.window.taps

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        channels = inputs[0][3]
        return layer(weights((*self.window.kernel, channels), self.weight_bits, 2), channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        (x,) = inputs
        view = self.window.over(x, self.input_zero_point)
        weight = self._weight(constants, x.shape[3]).astype(np.int64)
        acc = np.einsum("nhwijc,ijc->nhwc", view.astype(np.int64), weight)
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])

    def _weight(self, constants: Constants, channels: int) -> np.ndarray:
        shape = (*self.window.kernel, channels)
        return narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 2)

    def with_weight_bits(self, bits: int) -> DepthwiseConv2d:
        return replace(self, weight_bits=bits)

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        channels = inputs[0][3]
        return sums(by_channel(self._weight(constants, channels)), x, channels)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0]) if self.weight_bits == 8 else None

    def with_fewer_channels(
        self, fewer: Fewer, constants: Constants
    ) -> tuple[DepthwiseConv2d, Constants]:
        return self, {role: of_channels(a, fewer.stay) for role, a in constants.items()}

    @classmethod
    def examples(cls) -> Examples:
        return {
            "depthwise_3x3": (cls(Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(9, 5, 16)),
            "depthwise_stride2": (cls(Window((3, 3), (2, 2), (0, 0, 1, 1))), one_map(13, 9, 8)),
            "depthwise_no_border": (cls(Window((3, 3))), one_map(6, 7, 8)),
            "depthwise_odd_channels": (cls(Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(5, 5, 6)),
            "depthwise_5x5": (cls(Window((5, 5), (1, 1), (2, 2, 2, 2))), one_map(7, 7, 4)),
            "depthwise_time": (cls(Window((3, 1))), one_map(12, 1, 8)),
            "depthwise_dilated": (cls(Window((3, 3), dilation=(2, 2))), one_map(7, 7, 4)),
            "depthwise_4_bits": (cls(Window((3, 3)), weight_bits=4), one_map(5, 6, 5)),
            "depthwise_1_bit": (cls(Window((2, 2)), weight_bits=1), one_map(4, 4, 9)),
        }
