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
from tinytailor.compiler.ops.affine import Affine


def lower(op: Affine, shapes: Shapes, constants: Constants) -> TirKernel:
    whole, repeated = merged(shapes[0], op.shape)
    a = te.placeholder(whole, "int8", name="a")
    left = te.placeholder(repeated, "int32", name="left")
    bias = te.placeholder(repeated, "int32", name="bias")

    def total(*place: Any) -> Any:
        scaled = tir.int32(a[place]) * at(left, place) + at(bias, place)
        value = scaled >> tir.parameter("shift", op.shift)
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    y = te.compute(a.shape, total, name="y")
    schedule = tir.schedule_of((a, left, bias, y))
    arguments = ("x0", "left", "bias", "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})


VARIANT = Variant("plain", lower)
