# SPDX-License-Identifier: Apache-2.0
"""Any function of single elements, int8 to int8, as a table: y = table[x + 128].

Sigmoid, tanh, a leaky ReLU, a change of scale: scales, zero points and clamp are in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Operator
from tinytailor.compiler.ops.traits import constants as specs
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import INTEGERS, Constants, ConstantSpecs
from tinytailor.compiler.ops.traits.ranges import Range, Ranges

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel


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

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        (x,), table = reads, constants["table"].astype(np.int64)
        parts = [table[a + 128 : b + 129] for a, b in zip(x.low, x.high, strict=True)]
        return Range(np.array([p.min() for p in parts]), np.array([p.max() for p in parts]))

    def table(self, constants: Constants) -> np.ndarray:
        return constants["table"]

    def mapped(self, table: np.ndarray, constants: Constants) -> Constants:
        return {"table": table[constants["table"].astype(np.int64) + 128]}

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def identity(self, inputs: Inputs, constants: Constants) -> str:
        same = np.array_equal(constants["table"], INTEGERS)
        return "its table is the identity" if same else ""

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """One loop over the elements; each is read before it is written, over it if need be."""
        from math import prod

        from tvm import te

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        shape = (prod(inputs[0]),)
        x = te.placeholder(shape, "int8", name="x")
        table = te.placeholder((256,), "int8", name="table")
        y = te.compute(shape, lambda i: table[tir.int32(x[i]) + tir.const(128)], name="y")
        schedule = tir.schedule_of((x, table, y))
        arguments = ("x0", "table", "y")
        return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})
