# SPDX-License-Identifier: Apache-2.0
"""Convolution in groups, int8, NHWC: each group of channels sees its own part of the input.

    acc[h,w,o] = bias[o] + sum_{i,j,c} x[h*s + i*d - p, w*s + j*d - p, g*C/G + c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])        g = o / (O/G), c in 0 .. C/G - 1

With C groups it is a depthwise convolution with multiplier O/C. The bias already holds
-zp_x * sum(weight[o]) and the border reads zp_x.
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
    output_size,
    padding4,
    pair,
    windows,
)
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class GroupedConv2d:
    kind: ClassVar[str] = "grouped_conv2d"

    out_channels: int
    groups: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    input_zero_point: int = 0
    requant: Requant = Requant()

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        return (1, *size, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1] * inputs[0][3] // self.groups

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
            "groups": self.groups,
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            **requant_attributes(self.requant),
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> GroupedConv2d:
        return cls(
            int(attributes["out_channels"]),
            int(attributes["groups"]),
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            pair(attributes["dilation"]),
            input_zero_point=EXAMPLE_ZERO_POINT,
            requant=example_requant(attributes),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        (x,) = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        acc = grouped_product(view, constants["weight"], self.groups) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"])


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
