# SPDX-License-Identifier: Apache-2.0
"""Fully connected layer, int8: acc[o] = bias[o] + sum_k x[k] * weight[o,k]; y = requant(acc).

The bias already holds -zp_x * sum(weight[o]).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Summed
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, Mixed, mixed
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import NUMBER, REQUANT
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    sums,
)
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Dense(Summed):
    kind: ClassVar[str] = "dense"
    in_place: ClassVar[bool] = False

    out_features: int = field(metadata=NUMBER)
    requant: Requant = field(default=Requant(), metadata=REQUANT)
    weight_bits: int = field(default=8, metadata=NUMBER)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 2 or x[0] != 1:
            raise InputError(f"dense: input shape {x}, expected (1, features)")
        return (1, self.out_features)

    def macs(self, *inputs: Shape) -> int:
        return inputs[0][1] * self.out_features

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_features, inputs[0][1])
        return layer(weights(shape, self.weight_bits, 1), self.out_features)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        weight = self._weight(constants, inputs[0].shape[1])
        acc = inputs[0].astype(np.int64) @ weight.astype(np.int64).T
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])

    def _weight(self, constants: Constants, features: int) -> np.ndarray:
        shape = (self.out_features, features)
        return narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 1)

    def with_weight_bits(self, bits: int) -> Dense:
        return replace(self, weight_bits=bits)

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        return sums(self._weight(constants, inputs[0][1]), x)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        if self.weight_bits != 8:
            return None
        return Mixed(constants["weight"], constants["bias"])

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Dense, Constants]:
        return replace(self, out_features=fewer.count), mixed(constants, fewer)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "dense_4_bits": (cls(5, weight_bits=4), ((1, 27),)),
            "dense": (cls(12), ((1, 64),)),
            "dense_odd": (cls(5), ((1, 27),)),
        }
