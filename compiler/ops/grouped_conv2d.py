# SPDX-License-Identifier: Apache-2.0
"""Convolution in groups, int8, NHWC: each group of channels sees its own part of the input.

    acc[h,w,o] = bias[o] + sum_{i,j,c} x[h*s + i*d - p, w*s + j*d - p, g*C/G + c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])        g = o / (O/G), c in 0 .. C/G - 1

With C groups it is a depthwise convolution with multiplier O/C. The bias already holds
-zp_x * sum(weight[o]) and the border reads zp_x.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Windowed
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBER, REQUANT, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    sums,
)
from tinytailor.compiler.ops.window import WINDOW, Window
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class GroupedConv2d(Windowed):
    kind: ClassVar[str] = "grouped_conv2d"

    out_channels: int = field(metadata=NUMBER)
    groups: int = field(metadata=NUMBER)
    window: Window = field(metadata=WINDOW)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = self.window.output_size(self.kind, x)
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        return (1, *size, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.window.taps * inputs[0][3] // self.groups

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.window.kernel, inputs[0][3] // self.groups)
        return layer(weights(shape), self.out_channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        (x,) = inputs
        view = self.window.over(x, self.input_zero_point)
        acc = grouped_product(view, constants["weight"], self.groups) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"])

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        return sums(constants["weight"], x, self.groups)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "grouped": (cls(12, 2, Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(7, 6, 8)),
            "grouped_odd": (cls(9, 3, Window((3, 2), (2, 1), (1, 0, 0, 1))), one_map(7, 7, 15)),
            "grouped_1x1": (cls(8, 4, Window((1, 1))), one_map(5, 4, 16)),
            "grouped_1x1_thin": (cls(8, 4, Window((1, 1))), one_map(5, 4, 4)),
            "grouped_dilated": (cls(6, 2, Window((3, 3), dilation=(1, 2))), one_map(5, 7, 4)),
            "grouped_time": (cls(8, 4, Window((5, 1), (2, 1), (2, 0, 2, 0))), one_map(25, 1, 8)),
            "grouped_one_pixel": (cls(10, 2, Window((3, 3))), one_map(3, 3, 6)),
            "multiplier": (cls(12, 6, Window((3, 3), (2, 2), (0, 0, 1, 1))), one_map(8, 8, 6)),
            "multiplier_odd": (cls(9, 3, Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(5, 7, 3)),
        }


def check_groups(kind: str, groups: int, channels: int, out_channels: int) -> None:
    if groups < 1 or channels % groups or out_channels % groups:
        raise InputError(
            f"{kind}: {groups} groups must divide both the {channels} input channels and the "
            f"{out_channels} output channels"
        )


def grouped_product(view: np.ndarray, weight: np.ndarray, groups: int) -> np.ndarray:
    """(N, H, W, KH, KW, C) windows times (O, KH, KW, C / groups), int64 (N, H, W, O)."""
    n, h, w = view.shape[:3]
    depth = weight[0].size
    split = view.reshape(*view.shape[:5], groups, -1)
    # float64 holds these integers exactly and multiplies through BLAS.
    columns = np.moveaxis(split, 5, 0).reshape(groups, n * h * w, depth).astype(np.float64)
    rows = weight.reshape(groups, -1, depth).astype(np.float64)
    acc = columns @ rows.transpose(0, 2, 1)
    return acc.astype(np.int64).transpose(1, 0, 2).reshape(n, h, w, -1)
