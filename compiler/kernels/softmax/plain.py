# SPDX-License-Identifier: Apache-2.0
"""Three passes over the classes: maximum, sum of exponentials, rounded division."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.softmax import Softmax


def lower(op: Softmax, shapes: Shapes, constants: Constants) -> TirKernel:
    classes = shapes[0][1]
    x = te.placeholder((classes,), "int8", name="x")
    table = te.placeholder((256,), "int32", name="table")
    k, n = te.reduce_axis((0, classes), "k"), te.reduce_axis((0, classes), "n")
    top = te.compute((1,), lambda _: te.max(tir.int32(x[k]), axis=k), name="top")
    e = te.compute((classes,), lambda c: table[top[0] - tir.int32(x[c])], name="e")
    total = te.compute((1,), lambda _: te.sum(e[n], axis=n), name="total")

    def share(c: Any) -> Any:
        levels = tir.parameter("levels", op.levels).astype("uint32")
        unsigned = e[c].astype("uint32") * levels
        sum_ = total[0].astype("uint32")
        if op.fraction:
            sum_ = sum_ * tir.const(1 << op.fraction, "uint32")
        rounded = unsigned + sum_ // tir.const(2, "uint32")
        value = tirx.truncdiv(rounded, sum_).astype("int32")
        value = value + tir.parameter("zero_point", op.zero_point)
        return tirx.min(value, tir.const(127)).astype("int8")

    y = te.compute((classes,), share, name="y")
    schedule = tir.schedule_of((x, table, y))
    schedule.compute_inline(schedule.get_sblock("e"))
    for name in ("top", "total"):
        block = schedule.get_sblock(name)
        schedule.decompose_reduction(block, schedule.get_loops(block)[-1])
    arguments = ("x0", "table", "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})


VARIANT = Variant("plain", lower)
