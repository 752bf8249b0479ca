# SPDX-License-Identifier: Apache-2.0
"""Convolution, int8, NHWC, one group.

    acc[h,w,o] = bias[o] + sum_{i,j,c} x[h*s + i*d - p, w*s + j*d - p, c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])

The bias already holds -zp_x * sum(weight[o]) and the border reads zp_x, so the sum runs over raw x.
With a fused ``add`` a second input r of the output's shape is added to the result where it is
stored, y = add(requant(acc), r): the integers of a Conv2d and an Add after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.add import Add
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
class Conv2d:
    kind: ClassVar[str] = "conv2d"

    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    input_zero_point: int = 0
    requant: Requant = Requant()
    add: Add | None = None
    weight_bits: int = 8

    def output_shape(self, *inputs: Shape) -> Shape:
        x, *added = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        y = (1, *size, self.out_channels)
        if added != ([y] if self.add else []):
            raise InputError(f"{self.kind}: adds inputs {added} to an output of shape {y}")
        return y

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1] * inputs[0][3]

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        oc = self.out_channels
        return {
            "weight": narrow_weights.stored((oc, *self.kernel, inputs[0][3]), self.weight_bits, 1),
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
            **requant_attributes(self.requant),
            **({"add": self.add.key_attributes()} if self.add else {}),
            "weight_bits": self.weight_bits,
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Conv2d:
        return cls(
            int(attributes["out_channels"]),
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            pair(attributes["dilation"]),
            input_zero_point=EXAMPLE_ZERO_POINT,
            requant=example_requant(attributes),
            add=Add.from_key(attributes["add"]) if "add" in attributes else None,
            weight_bits=int(attributes["weight_bits"]),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        x, *added = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        n, oh, ow = view.shape[:3]
        # float64 holds these integers exactly and multiplies through BLAS.
        columns = view.reshape(n * oh * ow, -1).astype(np.float64)
        shape = (self.out_channels, *self.kernel, x.shape[3])
        weight = narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 1)
        weight = weight.reshape(self.out_channels, -1).astype(np.float64)
        acc = (columns @ weight.T).astype(np.int64) + constants["bias"]
        y = self.requant.apply(acc, constants["multiplier"]).reshape(n, oh, ow, -1)
        return self.add.reference((y, *added), {}) if self.add else y
