# SPDX-License-Identifier: Apache-2.0
"""The key of the operator's docstring in a register, then the place from it."""

from __future__ import annotations

from math import prod
from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.arg_max import ArgMax


def lower(op: ArgMax, shapes: Shapes, constants: Constants) -> TirKernel:
    (shape,) = shapes
    outer, count, inner = prod(shape[: op.axis]), shape[op.axis], prod(shape[op.axis + 1 :])
    x = te.placeholder((outer, count, inner), "int8", name="x")
    k = te.reduce_axis((0, count), "k")

    def key(o: Any, i: Any) -> Any:
        number = tir.int32(x[o, k, i])
        rank = number + tir.const(128) if op.largest else tir.const(127) - number
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


VARIANT = Variant("plain", lower)
