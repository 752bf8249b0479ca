# SPDX-License-Identifier: Apache-2.0
"""Deformable convolution with whole-pixel offsets, int8, NHWC: the rounded form of DeformConv.

    (dy, dx)   = pixels[offset[h, w, 2*(t*KH*KW + i*KW + j) + (0, 1)] + 128]      t = c / (C/T)
    acc[h,w,o] = bias[o]
                 + sum_{i,j,c} x[h*s + i*d - p + dy, w*s + j*d - p + dx, c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])

``offset`` is the second input, (1, OH, OW, 2*T*KH*KW) for T offset groups; ``pixels`` holds what
its 256 integers stand for, rounded half to even. Sampling between pixels has no integer form here:
at whole pixels the bilinear sampling of the ONNX operator is this one. Pixels outside the map read
zp_x, and the bias already holds -zp_x * sum(weight[o]). Groups as in GroupedConv2d.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Sampled
from tinytailor.compiler.ops.grouped_conv2d import check_groups, grouped_product
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, pixels, weights
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import NUMBER, REQUANT, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    sums,
)
from tinytailor.compiler.ops.window import WINDOW, Window, sampled
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

MAX_PIXELS = 2**15 - 1  # offsets beyond it are as far outside the map


@dataclass(frozen=True, slots=True)
class DeformConv2d(Sampled):
    kind: ClassVar[str] = "deform_conv2d"

    out_channels: int = field(metadata=NUMBER)
    window: Window = field(metadata=WINDOW)
    groups: int = field(default=1, metadata=NUMBER)
    offset_groups: int = field(default=1, metadata=NUMBER)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        x, offset = inputs
        size = self.window.output_size(self.kind, x)
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        if self.offset_groups < 1 or x[3] % self.offset_groups:
            raise InputError(
                f"{self.kind}: {self.offset_groups} offset groups for {x[3]} channels, expected a "
                "divisor"
            )
        expected = (1, *size, 2 * self.offset_groups * self.window.taps)
        if offset != expected:
            raise InputError(f"{self.kind}: offset shape {offset}, expected {expected}")
        return (1, *size, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.window.taps * inputs[0][3] // self.groups

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.window.kernel, inputs[0][3] // self.groups)
        return {**layer(weights(shape), self.out_channels), "pixels": pixels()}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x, offset = inputs
        n, oh, ow, _ = offset.shape
        moved = constants["pixels"].astype(np.int64)[offset.astype(np.int64) + 128]
        moved = moved.reshape(n, oh, ow, self.offset_groups, *self.window.kernel, 2)
        starts = self.window.starts((oh, ow))
        rows = starts[0][None, :, None, None, :, None] + moved[..., 0]
        columns = starts[1][None, None, :, None, None, :] + moved[..., 1]
        parts = np.split(x, self.offset_groups, axis=3)
        views = [
            sampled(part, rows[:, :, :, t], columns[:, :, :, t], self.input_zero_point)
            for t, part in enumerate(parts)
        ]
        view = np.concatenate(views, axis=-1)
        acc = grouped_product(view, constants["weight"], self.groups) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"])

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        return sums(constants["weight"], x, self.groups)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "deform": (cls(5, Window((3, 3), padding=(1, 1, 1, 1))), ((1, 6, 5, 8), (1, 6, 5, 18))),
            "deform_groups": (
                cls(6, Window((3, 2), (2, 1), (1, 0, 1, 1), (1, 2)), groups=2, offset_groups=2),
                ((1, 7, 6, 4), (1, 4, 5, 24)),
            ),
            "deform_depthwise": (
                cls(6, Window((3, 3), padding=(1, 1, 1, 1)), groups=6, offset_groups=3),
                ((1, 5, 5, 6), (1, 5, 5, 54)),
            ),
            "deform_one_tap": (cls(4, Window((1, 1))), ((1, 5, 4, 3), (1, 5, 4, 2))),
        }
