# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution, int8, NHWC: each output pixel gathers the taps that reach it.

    acc[h,w,o] = bias[o] + sum x[(h + p - i) / s, (w + p - j) / s, g*C/G + c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])     over all i, j where both divisions are exact

Where a tap falls between or outside the input pixels it reads zp_x; the bias already holds
-zp_x * sum(weight[o]). A negative padding below or on the right makes the output larger there, as
output_padding does. Output pixels whose h mod s and w mod s agree have the same taps, every s-th of
the kernel, so the kernel is cut into s * s small ones and each output pixel multiplies by one of
them. Where s does not divide the kernel some of them are filled up with zeros. The bias of each
takes back what the zero points would have summed up under the taps that it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Sampled
from tinytailor.compiler.ops.grouped_conv2d import check_groups, grouped_product
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBER, REQUANT, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    sums,
)
from tinytailor.compiler.ops.window import ONES, Window, check_map, in_window_key
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class ConvTranspose2d(Sampled):
    kind: ClassVar[str] = "conv_transpose2d"
    in_place: ClassVar[bool] = False

    out_channels: int = field(metadata=NUMBER)
    window: Window = field(metadata=in_window_key(optional=("dilation",)))
    groups: int = field(default=1, metadata=NUMBER)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        check_map(self.kind, x)
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        padding, kernel, stride = self.window.padding, self.window.kernel, self.window.stride
        if min(padding[:2]) < 0:
            raise InputError(f"{self.kind}: padding {padding}, expected no negative top, left")
        if self.window.dilation != ONES:
            raise InputError(f"{self.kind}: dilation {self.window.dilation}, expected none")
        height, width = (
            (x[1 + axis] - 1) * stride[axis] + kernel[axis] - sum(padding[axis::2])
            for axis in (0, 1)
        )
        if height < 1 or width < 1:
            raise InputError(f"{self.kind}: padding {padding} leaves nothing of the output")
        return (1, height, width, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, height, width, channels = inputs[0]
        return height * width * channels * self.window.taps * self.out_channels // self.groups

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.window.kernel, inputs[0][3] // self.groups)
        return layer(weights(shape), self.out_channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        """An ordinary convolution of the map with s - 1 zero points between its pixels."""
        (x,) = inputs
        n, height, width, channels = x.shape
        (sh, sw), (kh, kw) = self.window.stride, self.window.kernel
        spread = np.full(
            (n, (height - 1) * sh + 1, (width - 1) * sw + 1, channels),
            self.input_zero_point,
            np.int8,
        )
        spread[:, ::sh, ::sw] = x
        top, left, bottom, right = self.window.padding
        around = (kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right)
        above, before, below, after = (max(0, -n) for n in around)
        rows, columns = spread.shape[1:3]
        spread = spread[:, above : rows - below, before : columns - after]
        top, left, bottom, right = (max(0, n) for n in around)
        view = Window((kh, kw), padding=(top, left, bottom, right)).over(
            spread, self.input_zero_point
        )
        flipped = constants["weight"][:, ::-1, ::-1]
        acc = grouped_product(view, flipped, self.groups) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"])

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        return sums(constants["weight"], x, self.groups)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "transposed": (cls(6, Window((4, 4), (2, 2), (1, 1, 1, 1))), one_map(5, 4, 8)),
            "transposed_odd": (cls(5, Window((3, 3), (2, 2), (1, 1, 1, 1))), one_map(5, 4, 7)),
            "transposed_larger": (cls(3, Window((3, 3), (2, 2), (1, 1, 0, 0))), one_map(4, 5, 4)),
            "transposed_gaps": (cls(4, Window((2, 1), (3, 2), (0, 0, -1, 0))), one_map(3, 4, 5)),
            "transposed_plain": (cls(4, Window((3, 3), (1, 1), (3, 2, 0, 1))), one_map(6, 5, 4)),
            "transposed_groups": (cls(8, Window((3, 2), (2, 3)), groups=4), one_map(4, 3, 8)),
            "transposed_time": (cls(4, Window((4, 1), (2, 1), (1, 0, 1, 0))), one_map(9, 1, 6)),
        }
