# SPDX-License-Identifier: Apache-2.0
"""Fully connected layer, int8: acc[o] = bias[o] + sum_k x[k] * weight[o,k]; y = requant(acc).

The bias already holds -zp_x * sum(weight[o]).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes, example_requant, requant_attributes
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Dense:
    kind: ClassVar[str] = "dense"

    out_features: int
    requant: Requant = Requant()
    weight_bits: int = 8

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 2 or x[0] != 1:
            raise InputError(f"dense: input shape {x}, expected (1, features)")
        return (1, self.out_features)

    def macs(self, *inputs: Shape) -> int:
        return inputs[0][1] * self.out_features

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {
            "weight": narrow_weights.stored((self.out_features, inputs[0][1]), self.weight_bits, 1),
            "bias": ((self.out_features,), "int32"),
            "multiplier": ((self.out_features,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {
            "out_features": self.out_features,
            **requant_attributes(self.requant),
            "weight_bits": self.weight_bits,
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Dense:
        bits = int(attributes["weight_bits"])
        return cls(int(attributes["out_features"]), example_requant(attributes), bits)

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        shape = (self.out_features, inputs[0].shape[1])
        weight = narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 1)
        acc = inputs[0].astype(np.int64) @ weight.astype(np.int64).T
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])
