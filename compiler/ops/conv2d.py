# SPDX-License-Identifier: Apache-2.0
"""Convolution, int8, NHWC, one group.

    acc[h,w,o] = bias[o] + sum_{i,j,c} x[h*s + i*d - p, w*s + j*d - p, c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])

The bias already holds -zp_x * sum(weight[o]) and the border reads zp_x, so the sum runs over raw x.
With a fused ``add`` a second input r of the output's shape is added to the result where it is
stored, y = add(requant(acc), r): the integers of a Conv2d and an Add after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.add import Add
from tinytailor.compiler.ops.base import Operator, Windowed
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, Mixed, mixed
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import (
    NUMBER,
    REQUANT,
    ZERO_POINT,
    in_key,
)
from tinytailor.compiler.ops.traits.neighbours import Clamp
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    Ranges,
    sums,
)
from tinytailor.compiler.ops.window import WINDOW, Window
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

_ADD = in_key(
    lambda name, add: {} if add is None else {name: add.key_attributes()},
    lambda name, attributes: Add.from_key(attributes[name]) if name in attributes else None,
)


@dataclass(frozen=True, slots=True)
class Conv2d(Windowed):
    kind: ClassVar[str] = "conv2d"
    takes_epilogue: ClassVar[bool] = True

    out_channels: int = field(metadata=NUMBER)
    window: Window = field(metadata=WINDOW)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)
    add: Add | None = field(default=None, metadata=_ADD)
    weight_bits: int = field(default=8, metadata=NUMBER)

    def output_shape(self, *inputs: Shape) -> Shape:
        x, *added = inputs
        size = self.window.output_size(self.kind, x)
        y = (1, *size, self.out_channels)
        if added != ([y] if self.add else []):
            raise InputError(f"{self.kind}: adds inputs {added} to an output of shape {y}")
        return y

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.window.taps * inputs[0][3]

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.window.kernel, inputs[0][3])
        return layer(weights(shape, self.weight_bits, 1), self.out_channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x, *added = inputs
        view = self.window.over(x, self.input_zero_point)
        n, oh, ow = view.shape[:3]
        # float64 holds these integers exactly and multiplies through BLAS.
        columns = view.reshape(n * oh * ow, -1).astype(np.float64)
        weight = self._weight(constants, x.shape[3])
        weight = weight.reshape(self.out_channels, -1).astype(np.float64)
        acc = (columns @ weight.T).astype(np.int64) + constants["bias"]
        y = self.requant.apply(acc, constants["multiplier"]).reshape(n, oh, ow, -1)
        return self.add.reference((y, *added), {}) if self.add else y

    def _weight(self, constants: Constants, channels: int) -> np.ndarray:
        shape = (self.out_channels, *self.window.kernel, channels)
        return narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 1)

    def with_weight_bits(self, bits: int) -> Conv2d:
        return replace(self, weight_bits=bits)

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        return sums(self._weight(constants, inputs[0][3]), x)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        y = Windowed.ranges(self, reads, inputs, constants)
        return self.add.ranges((y, reads[1]), (inputs[1], inputs[1]), {}) if self.add else y

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        acc = Windowed.accumulators(self, inputs, constants)
        return acc.joined(self.add.accumulators(inputs, {})) if self.add else acc

    def clamp(self) -> Clamp | None:
        return self.add.clamp() if self.add else Windowed.clamp(self)

    def with_clamp(self, clamp: Clamp) -> Conv2d:
        if self.add:
            return replace(self, add=self.add.with_clamp(clamp))
        return Windowed.with_clamp(self, clamp)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        if self.add or self.weight_bits != 8:
            return None
        border = self.input_zero_point if self.window.bordered else None
        return Mixed(constants["weight"], constants["bias"], border)

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Conv2d, Constants]:
        return replace(self, out_channels=fewer.count), mixed(constants, fewer)

    def ended_by(self, epilogue: Operator) -> Conv2d | None:
        if self.add is not None or not isinstance(epilogue, Add):
            return None
        return replace(self, add=epilogue)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "conv_3x3_first": (cls(16, Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(13, 9, 3)),
            "conv_3x3": (cls(16, Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(7, 9, 16)),
            "conv_3x3_stride2_same": (
                cls(8, Window((3, 3), (2, 2), (0, 0, 1, 1))),
                one_map(8, 8, 4),
            ),
            "conv_odd_everything": (
                cls(7, Window((3, 1), (2, 1), (1, 0, 1, 0))),
                one_map(7, 5, 13),
            ),
            "conv_dilated": (cls(3, Window((3, 3), dilation=(2, 2))), one_map(7, 7, 4)),
            "conv_keyword_first": (
                cls(8, Window((10, 4), (2, 2), (4, 1, 5, 1))),
                one_map(49, 10, 1),
            ),
            "conv_time": (cls(4, Window((5, 1), (2, 1), (2, 0, 2, 0))), one_map(25, 6, 1)),
            "conv_whole_width": (cls(8, Window((1, 6))), one_map(13, 6, 4)),
            "conv_1x1": (cls(13, Window((1, 1))), one_map(5, 5, 16)),
            "conv_1x1_stride2": (cls(6, Window((1, 1), (2, 2))), one_map(6, 6, 8)),
            "conv_1x1_one_channel": (cls(4, Window((1, 1))), one_map(7, 5, 1)),
            "conv_one_pixel": (cls(5, Window((3, 3))), one_map(3, 3, 6)),
            "conv_deep": (cls(4, Window((3, 3), (1, 1), (1, 1, 1, 1))), one_map(4, 4, 250)),
            "conv_3x3_add": (
                cls(13, Window((3, 3), (1, 1), (1, 1, 1, 1)), add=Add()),
                ((1, 7, 9, 16), (1, 7, 9, 13)),
            ),
            "conv_3x3_add_even": (
                cls(12, Window((3, 3), (1, 1), (1, 1, 1, 1)), add=Add()),
                ((1, 5, 5, 8), (1, 5, 5, 12)),
            ),
            "conv_1x1_add": (cls(13, Window((1, 1)), add=Add()), ((1, 6, 4, 16), (1, 6, 4, 13))),
            "conv_one_pixel_add": (cls(5, Window((3, 3)), add=Add()), ((1, 3, 3, 6), (1, 1, 1, 5))),
            "conv_4_bits": (
                cls(5, Window((3, 2), padding=(1, 0, 1, 1)), weight_bits=4),
                one_map(5, 4, 3),
            ),
            "conv_2_bits": (cls(4, Window((1, 1)), weight_bits=2), one_map(3, 4, 7)),
            "conv_1_bit": (cls(3, Window((3, 3)), weight_bits=1), one_map(5, 5, 3)),
        }
