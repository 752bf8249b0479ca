# SPDX-License-Identifier: Apache-2.0
"""Two passes over a row: the sum of squares, and the product with the inverse of its root."""

from __future__ import annotations

from math import prod
from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.rows import row_by_row
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.l2_normalize import L2Normalize


def lower(op: L2Normalize, shapes: Shapes, constants: Constants) -> TirKernel:
    *outer, channels = shapes[0]
    rows = (prod(outer),)
    x = te.placeholder((*rows, channels), "int8", name="x")
    k = te.reduce_axis((0, channels), "k")

    def step(r: Any, c: Any) -> Any:
        return tir.int32(x[r, c]) - tir.parameter("input_zero_point", op.input_zero_point)

    squares = te.compute(
        rows,
        lambda r: te.sum(step(r, k) * step(r, k), axis=k),
        name="squares",
    )
    some = te.compute(rows, lambda r: tirx.max(squares[r], tir.const(1)), name="some")
    doubled = te.compute(rows, lambda r: tir.quarters(some[r]), name="doubled")

    def inverted(r: Any) -> Any:
        root = tir.root(some[r], doubled[r])
        return tirx.truncdiv(tir.parameter("numerator", op.numerator), root)

    inverse = te.compute(rows, inverted, name="inverse")
    shift = te.compute(
        rows, lambda r: tir.parameter("right_shift", op.shift) - doubled[r], name="shift"
    )

    def normalized(r: Any, c: Any) -> Any:
        half = tir.const(1) << (shift[r] - 1)
        value = (step(r, c) * inverse[r] + half) >> shift[r]
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    y = te.compute(x.shape, normalized, name="y")
    stages = ("squares", "some", "doubled", "inverse", "shift")
    return row_by_row((x, y), ("x0", "y"), stages, ("squares",), constants)


VARIANT = Variant("plain", lower)
