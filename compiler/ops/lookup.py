# SPDX-License-Identifier: Apache-2.0
"""Any function of single elements, int8 to int8, as a table: y = table[x + 128].

Sigmoid, tanh, a leaky ReLU, a change of scale: scales, zero points and clamp are in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes

INTEGERS = np.arange(-128, 128)  # what the entries of a table stand for


@dataclass(frozen=True, slots=True)
class Lookup:
    kind: ClassVar[str] = "lookup"

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return x

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {"table": ((256,), "int8")}

    def key_attributes(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Lookup:
        return cls()

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        return constants["table"][inputs[0].astype(np.int64) + 128]
