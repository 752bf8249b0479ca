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
from tinytailor.compiler.ops.base import Operator, Requantized
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, Mixed, mixed
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.keys import (
    NUMBER,
    REQUANT,
    ZERO_POINT,
    in_key,
)
from tinytailor.compiler.ops.traits.neighbours import Bordered, Clamp
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    Ranges,
    accumulated,
    full,
    requantized,
    sums,
)
from tinytailor.compiler.ops.window import WINDOW, Padding, Window
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

_ADD = in_key(
    lambda name, add: {} if add is None else {name: add.key_attributes()},
    lambda name, attributes: Add.from_key(attributes[name]) if name in attributes else None,
)


@dataclass(frozen=True, slots=True)
class Conv2d(Requantized):
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

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        x = reads[0].widened(self.input_zero_point) if self.window.bordered else reads[0]
        acc = sums(self._weight(constants, inputs[0][3]), x).plus(constants["bias"])
        y = requantized(self.requant, acc, constants["multiplier"])
        if self.add is None:
            return y
        return self.add.ranges((y, reads[1]), (inputs[1], inputs[1]), {})

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        channels = inputs[0][3]
        terms = sums(self._weight(constants, channels), full(channels))
        acc = accumulated(terms, constants["bias"], self.requant.shift)
        return acc.joined(self.add.accumulators(inputs, {})) if self.add else acc

    def clamp(self) -> Clamp | None:
        return self.add.clamp() if self.add else Requantized.clamp(self)

    def with_clamp(self, clamp: Clamp) -> Conv2d:
        if self.add:
            return replace(self, add=self.add.with_clamp(clamp))
        return Requantized.with_clamp(self, clamp)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        if self.add or self.weight_bits != 8:
            return None
        border = self.input_zero_point if self.window.bordered else None
        return Mixed(constants["weight"], constants["bias"], border)

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Conv2d, Constants]:
        return replace(self, out_channels=fewer.count), mixed(constants, fewer)

    def bordered(self, padding: Padding) -> Bordered:
        wider = replace(self, window=self.window.padded(padding))
        return Bordered(wider, self.input_zero_point)

    def ended_by(self, epilogue: Operator) -> Conv2d | None:
        if self.add is not None or not isinstance(epilogue, Add):
            return None
        return replace(self, add=epilogue)
