# SPDX-License-Identifier: Apache-2.0
"""Where along one axis the largest (or smallest) int8 number lies: the class of a row, as int32.

Of equal numbers the first counts. With n numbers, place and number are one key,

    y = n - 1 - key % n,   key = max_k ((x_k + 128) * n + n - 1 - k)   (the smallest: 127 - x_k)

so that a plain maximum finds both. Indices have no scale: they can only leave the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Operator
from tinytailor.compiler.ops.traits.constants import Constants
from tinytailor.compiler.ops.traits.keys import FLAG, NUMBER
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, full
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel

MAX_SIZE = 1 << 22  # of the axis, so that a key fits int32


@dataclass(frozen=True, slots=True)
class ArgMax(Operator):
    """``axis``: of the NHWC map or of the row, 1 or more; it has one element in the output."""

    kind: ClassVar[str] = "arg_max"

    axis: int = field(metadata=NUMBER)
    largest: bool = field(default=True, metadata=FLAG)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if not 0 < self.axis < len(x) or x[self.axis] > MAX_SIZE:
            raise InputError(
                f"arg_max: axis {self.axis} of shape {x}, expected 1 to {len(x) - 1} and at most "
                f"{MAX_SIZE} elements"
            )
        return (*x[: self.axis], 1, *x[self.axis + 1 :])

    def dtypes(self, *read: str) -> tuple[str, ...]:
        return ("int8", "int32")

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        find = np.argmax if self.largest else np.argmin
        return find(inputs[0], axis=self.axis, keepdims=True).astype(np.int32)

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        return full(self.output_shape(*inputs)[-1], 0, inputs[0][self.axis] - 1)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """The key in a register, then the place from it."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        (shape,) = inputs
        outer, count, inner = (
            prod(shape[: self.axis]),
            shape[self.axis],
            prod(shape[self.axis + 1 :]),
        )
        x = te.placeholder((outer, count, inner), "int8", name="x")
        k = te.reduce_axis((0, count), "k")

        def key(o: Any, i: Any) -> Any:
            number = tir.int32(x[o, k, i])
            rank = number + tir.const(128) if self.largest else tir.const(127) - number
            return te.max(rank * tir.const(count) + (tir.const(count - 1) - k), axis=[k])

        top = te.compute((outer, inner), key, name="top")
        y = te.compute(
            (outer, inner),
            lambda o, i: tir.const(count - 1) - tirx.truncmod(top[o, i], tir.const(count)),
            name="y",
        )
        schedule = tir.schedule_of((x, y))
        maximum = schedule.get_sblock("top")
        innermost = schedule.get_loops(schedule.get_sblock("y"))[-1]
        schedule.compute_at(maximum, innermost, preserve_unit_loops=True)
        schedule.decompose_reduction(maximum, schedule.get_loops(maximum)[-1])
        return TirKernel(schedule.mod["main"], ("x0", "y"), {})
