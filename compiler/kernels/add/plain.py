# SPDX-License-Identifier: Apache-2.0
"""One loop over the elements; each is read before it is written, over a whole input."""

from __future__ import annotations

from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.addition import sum_of
from tinytailor.compiler.kernels.bricks.broadcast import at, merged
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import elementwise_overlap
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.add import Add
from tinytailor.compiler.ops.broadcast import broadcast_shape


def lower(op: Add, shapes: Shapes, constants: Constants) -> TirKernel:
    operands = merged(*shapes)
    a, b = (te.placeholder(s, "int8", name=n) for s, n in zip(operands, "ab", strict=True))

    def total(*place: Any) -> Any:
        return sum_of(op, at(a, place), at(b, place))

    y = te.compute(broadcast_shape(op.kind, *operands), total, name="y")
    schedule = tir.schedule_of((a, b, y))
    overlap = elementwise_overlap(shapes, op.output_shape(*shapes))
    return TirKernel(schedule.mod["main"], ("x0", "x1", "y"), {}, overlap=overlap)


VARIANT = Variant("plain", lower)
