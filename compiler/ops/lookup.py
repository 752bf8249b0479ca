# SPDX-License-Identifier: Apache-2.0
"""Any function of single elements, int8 to int8, as a table: y = table[x + 128].

Sigmoid, tanh, a leaky ReLU, a change of scale: scales, zero points and clamp are in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits import constants as specs
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import INTEGERS, ConstantSpecs
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.ranges import Range, Ranges


@dataclass(frozen=True, slots=True)
class Lookup(Operator):
    kind: ClassVar[str] = "lookup"

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return x

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"table": specs.table()}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        return constants["table"][inputs[0].astype(np.int64) + 128]

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        (x,), table = reads, constants["table"].astype(np.int64)
        parts = [table[a + 128 : b + 129] for a, b in zip(x.low, x.high, strict=True)]
        return Range(np.array([p.min() for p in parts]), np.array([p.max() for p in parts]))

    def table(self, constants: Constants) -> np.ndarray:
        return constants["table"]

    def mapped(self, table: np.ndarray, constants: Constants) -> Constants:
        return {"table": table[constants["table"].astype(np.int64) + 128]}

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def identity(self, inputs: Shapes, constants: Constants) -> str:
        same = np.array_equal(constants["table"], INTEGERS)
        return "its table is the identity" if same else ""

    @classmethod
    def examples(cls) -> Examples:
        return {
            "lookup": (cls(), one_map(5, 3, 7)),
        }
