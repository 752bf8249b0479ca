# SPDX-License-Identifier: Apache-2.0
"""Three passes over the classes of a row: maximum, sum of exponentials, differences."""

from __future__ import annotations

from math import prod
from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.rows import row_by_row
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.log_softmax import FRACTION_BITS, PART_BITS, PARTS, UNIT, LogSoftmax
from tinytailor.compiler.ops.softmax import table_bits


def lower(op: LogSoftmax, shapes: Shapes, constants: Constants) -> TirKernel:
    *outer, classes = shapes[0]
    rows = (prod(outer),)
    x = te.placeholder((*rows, classes), "int8", name="x")
    table = te.placeholder((256,), "int32", name="exponentials")
    logarithms = te.placeholder((PARTS + 1,), "int32", name="logarithms")
    k, n = te.reduce_axis((0, classes), "k"), te.reduce_axis((0, classes), "n")
    top = te.compute(rows, lambda r: te.max(tir.int32(x[r, k]), axis=k), name="top")
    total = te.compute(
        rows, lambda r: te.sum(table[top[r] - tir.int32(x[r, n])], axis=n), name="total"
    )
    zeros = te.compute(rows, lambda r: tir.leading_zeros(total[r].astype("uint32")), name="zeros")

    def bits(r: Any, first: int, count: int) -> Any:
        """Of the total, behind its leading one."""
        shift = (zeros[r] + (1 + first)).astype("uint32")
        return tir.int32(total[r].astype("uint32") << shift >> tir.const(32 - count, "uint32"))

    part = te.compute(rows, lambda r: bits(r, 0, PART_BITS), name="part")
    fraction = te.compute(rows, lambda r: bits(r, PART_BITS, FRACTION_BITS), name="fraction")

    def logarithm(r: Any) -> Any:
        below, above = logarithms[part[r]], logarithms[part[r] + 1]
        octaves = tir.const(31 - table_bits(classes)) - zeros[r]
        whole = octaves * tir.parameter("octave", op.octave) + below
        return tir.const(UNIT // 2) - whole - ((above - below) * fraction[r] >> FRACTION_BITS)

    offset = te.compute(rows, logarithm, name="offset")

    def difference(r: Any, c: Any) -> Any:
        distance = top[r] - tir.int32(x[r, c])
        value = (offset[r] - distance * tir.parameter("factor", op.factor)) >> 16
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamp(value, *tir.INT8).astype("int8")

    y = te.compute(x.shape, difference, name="y")
    arguments = ("x0", "exponentials", "logarithms", "y")
    stages = ("top", "total", "zeros", "part", "fraction", "offset")
    tensors = (x, table, logarithms, y)
    return row_by_row(tensors, arguments, stages, ("top", "total"), constants)


VARIANT = Variant("plain", lower)
