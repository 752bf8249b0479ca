# SPDX-License-Identifier: Apache-2.0
"""One loop; each element is read before it is written, over it if need be."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import at, merged
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.prelu import PRelu


def lower(op: PRelu, shapes: Shapes, constants: Constants) -> TirKernel:
    whole, repeated = merged(shapes[0], op.shape)
    a = te.placeholder(whole, "int8", name="a")
    negative = te.placeholder(repeated, "int32", name="negative")

    def scaled(*place: Any) -> Any:
        steps = tir.int32(a[place]) - tir.parameter("input_zero_point", op.input_zero_point)
        below = steps < tir.const(0)
        positive = tir.parameter("positive", op.positive)
        factor = tirx.Select(below, at(negative, place), positive)
        rounded = steps * factor + tir.parameter("half", 1 << (op.shift - 1))
        value = rounded >> tir.parameter("shift", op.shift)
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    y = te.compute(a.shape, scaled, name="y")
    schedule = tir.schedule_of((a, negative, y))
    arguments = ("x0", "negative", "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})


VARIANT = Variant("plain", lower)
