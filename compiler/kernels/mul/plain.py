# SPDX-License-Identifier: Apache-2.0
"""One loop over the elements; each is read before it is written, over a whole input."""

from __future__ import annotations

from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import at, merged
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import elementwise_overlap
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.mul import Mul


def lower(op: Mul, shapes: Shapes, constants: Constants) -> TirKernel:
    operands = merged(*shapes)
    a, b = (te.placeholder(s, "int8", name=n) for s, n in zip(operands, "ab", strict=True))

    def product(*place: Any) -> Any:
        left = tir.int32(at(a, place)) - tir.parameter("left_zero_point", op.left_zero_point)
        right = tir.int32(at(b, place)) - tir.parameter("right_zero_point", op.right_zero_point)
        multiplier = tir.parameter("multiplier", op.multiplier)
        return tir.requantize(left * right, multiplier, op.requant)

    y = te.compute(broadcast_shape(op.kind, *operands), product, name="y")
    schedule = tir.schedule_of((a, b, y))
    overlap = elementwise_overlap(shapes, op.output_shape(*shapes))
    return TirKernel(schedule.mod["main"], ("x0", "x1", "y"), {}, overlap=overlap)


VARIANT = Variant("plain", lower)
