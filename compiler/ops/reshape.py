# SPDX-License-Identifier: Apache-2.0
"""Reshape: another shape for the same bytes in the same order.

Costs nothing and emits nothing, but where bytes must get from one border of the graph to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Reshape:
    kind: ClassVar[str] = "reshape"

    shape: Shape

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if prod(x) != prod(self.shape):
            raise InputError(
                f"reshape: {x} has {prod(x)} elements, {self.shape} {prod(self.shape)}"
            )
        return self.shape

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Reshape:
        return cls(tuple(int(d) for d in attributes["shape"]))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        return inputs[0].reshape(inputs[0].shape[0], *self.shape[1:])
