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
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    padding4,
    pair,
    windows,
)
from tinytailor.compiler.ops.grouped_conv2d import check_groups, grouped_product
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class ConvTranspose2d:
    kind: ClassVar[str] = "conv_transpose2d"

    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    groups: int = 1
    input_zero_point: int = 0
    requant: Requant = Requant()

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or x[0] != 1:
            raise InputError(f"{self.kind}: input shape {x}, expected (1, height, width, channels)")
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        if min(self.padding[:2]) < 0:
            raise InputError(f"{self.kind}: padding {self.padding}, expected no negative top, left")
        height, width = (
            (x[1 + axis] - 1) * self.stride[axis] + self.kernel[axis] - sum(self.padding[axis::2])
            for axis in (0, 1)
        )
        if height < 1 or width < 1:
            raise InputError(f"{self.kind}: padding {self.padding} leaves nothing of the output")
        return (1, height, width, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, height, width, channels = inputs[0]
        taps = self.kernel[0] * self.kernel[1]
        return height * width * channels * taps * self.out_channels // self.groups

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        oc = self.out_channels
        return {
            "weight": ((oc, *self.kernel, inputs[0][3] // self.groups), "int8"),
            "bias": ((oc,), "int32"),
            "multiplier": ((oc,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {
            "out_channels": self.out_channels,
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "groups": self.groups,
            **requant_attributes(self.requant),
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> ConvTranspose2d:
        return cls(
            int(attributes["out_channels"]),
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            int(attributes["groups"]),
            input_zero_point=EXAMPLE_ZERO_POINT,
            requant=example_requant(attributes),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """An ordinary convolution of the map with s - 1 zero points between its pixels."""
        (x,) = inputs
        n, height, width, channels = x.shape
        (sh, sw), (kh, kw) = self.stride, self.kernel
        spread = np.full(
            (n, (height - 1) * sh + 1, (width - 1) * sw + 1, channels),
            self.input_zero_point,
            np.int8,
        )
        spread[:, ::sh, ::sw] = x
        top, left, bottom, right = self.padding
        around = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right]
        cut = [max(0, -width) for width in around]
        rows, columns = spread.shape[1:3]
        spread = spread[:, cut[0] : rows - cut[2], cut[1] : columns - cut[3]]
        padding = padding4(max(0, width) for width in around)
        view = windows(spread, self.kernel, (1, 1), padding, (1, 1), self.input_zero_point)
        flipped = constants["weight"][:, ::-1, ::-1]
        acc = grouped_product(view, flipped, self.groups) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"])
