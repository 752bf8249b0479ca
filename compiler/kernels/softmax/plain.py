# SPDX-License-Identifier: Apache-2.0
"""Three passes over the classes of a row: maximum, sum of exponentials, rounded division."""

from __future__ import annotations

from math import prod
from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.rows import row_by_row
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.softmax import Softmax


def lower(op: Softmax, shapes: Shapes, constants: Constants) -> TirKernel:
    *outer, classes = shapes[0]
    rows = prod(outer)
    x = te.placeholder((rows, classes), "int8", name="x")
    table = te.placeholder((256,), "int32", name="table")
    k, n = te.reduce_axis((0, classes), "k"), te.reduce_axis((0, classes), "n")
    top = te.compute((rows,), lambda r: te.max(tir.int32(x[r, k]), axis=k), name="top")
    e = te.compute((rows, classes), lambda r, c: table[top[r] - tir.int32(x[r, c])], name="e")
    total = te.compute((rows,), lambda r: te.sum(e[r, n], axis=n), name="total")

    def share(r: Any, c: Any) -> Any:
        levels = tir.parameter("levels", op.levels).astype("uint32")
        unsigned = e[r, c].astype("uint32") * levels
        sum_ = total[r].astype("uint32")
        if op.fraction:
            sum_ = sum_ * tir.const(1 << op.fraction, "uint32")
        rounded = unsigned + sum_ // tir.const(2, "uint32")
        value = tirx.truncdiv(rounded, sum_).astype("int32")
        value = value + tir.parameter("zero_point", op.zero_point)
        return tirx.min(value, tir.const(127)).astype("int8")

    y = te.compute((rows, classes), share, name="y")
    stages = ("top", "total")
    return row_by_row((x, table, y), ("x0", "table", "y"), stages, stages, constants, ("e",))


VARIANT = Variant("plain", lower)
