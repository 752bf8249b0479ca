# SPDX-License-Identifier: Apache-2.0
"""One loop; each element is read before it is written, over it if need be."""

from __future__ import annotations

from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import at, merged
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.add_constant import AddConstant


def lower(op: AddConstant, shapes: Shapes, constants: Constants) -> TirKernel:
    whole, repeated = merged(shapes[0], op.whole(shapes[0]))
    a = te.placeholder(whole, "int8", name="a")
    bias = te.placeholder(repeated, "int32", name="bias")

    def total(*place: Any) -> Any:
        scaled = tir.int32(a[place]) * tir.parameter("left", op.left) + at(bias, place)
        value = scaled >> tir.parameter("shift", op.shift)
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    y = te.compute(a.shape, total, name="y")
    schedule = tir.schedule_of((a, bias, y))
    arguments = ("x0", "bias", "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})


VARIANT = Variant("plain", lower)
