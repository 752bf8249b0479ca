# SPDX-License-Identifier: Apache-2.0
"""Two passes over a row: its sums, and what they make of each element."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.rows import row_by_row
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.layer_normalize import LIFT, REST, LayerNormalize, spare_bits


def lower(op: LayerNormalize, shapes: Shapes, constants: Constants) -> TirKernel:
    *outer, length = shapes[0]
    rows, spare = (prod(outer),), spare_bits(length)
    x = te.placeholder((*rows, length), "int8", name="x")
    sizes = (prod(op.shape[:-1]), op.shape[-1])
    gain, bias = (te.placeholder(sizes, "int32", name=name) for name in ("gain", "bias"))
    k, n = te.reduce_axis((0, length), "k"), te.reduce_axis((0, length), "n")
    total = te.compute(rows, lambda r: te.sum(tir.int32(x[r, k]), axis=k), name="total")
    squares = te.compute(
        rows, lambda r: te.sum(tir.int32(x[r, n]) * tir.int32(x[r, n]), axis=n), name="squares"
    )

    def wide(value: Any) -> Any:
        return value.astype("int64")

    def spread(r: Any) -> Any:
        product = wide(squares[r]) * tir.const(length, "int64") - wide(total[r]) * wide(total[r])
        shifted = product >> tir.const(spare, "int64") if spare > 0 else product
        kept = tir.int32(shifted) * (1 << max(-spare, 0))
        return tirx.max(kept + tir.parameter("epsilon", op.epsilon), tir.const(1))

    variance = te.compute(rows, spread, name="variance")
    roots = inverse_roots(variance, spare)
    lift, inverse = roots["lift"], roots["inverse"]

    def normalized(r: Any, c: Any) -> Any:
        distance = (tir.int32(x[r, c]) * length - total[r]) * lift[r]
        t = tir.high_product(distance, inverse[r], tir.const(0))
        place = (r if sizes[0] > 1 else 0, c if sizes[1] > 1 else 0)
        value = tir.high_product(t * (1 << LIFT), gain[place], bias[place])
        value = (value >> REST) + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    y = te.compute(x.shape, normalized, name="y")
    stages = ("total", "squares", "variance", *roots)
    tensors, arguments = (x, gain, bias, y), ("x0", "gain", "bias", "y")
    return row_by_row(tensors, arguments, stages, ("total", "squares"), constants)


def inverse_roots(variance: Any, spare: int) -> dict[str, Any]:
    """The stages from the variance of a row to the inverse of its root, and to the power of two
    that a distance is lifted by before it is multiplied with that."""
    stages: dict[str, Any] = {}

    def stage(name: str, value: Callable[[Any], Any]) -> Any:
        stages[name] = te.compute(variance.shape, value, name=name)
        return stages[name]

    def inverted(r: Any) -> Any:
        ratio = tirx.truncdiv(tir.const(2**31 - 1), deviation[r]) << 15
        return ratio >> tirx.max(tir.const(0) - left[r], tir.const(0))

    zeros = stage("zeros", lambda r: tir.quarters(variance[r]))
    deviation = stage("deviation", lambda r: tir.root(variance[r], zeros[r]))
    left = stage("left", lambda r: zeros[r] - tir.const(spare // 2 + 2))
    stage("inverse", inverted)
    stage("lift", lambda r: tir.const(1) << tirx.max(left[r], tir.const(0)))
    return stages


def limits(op: LayerNormalize, shapes: Shapes) -> str:
    rows, outer = prod(shapes[0][:-1]), prod(op.shape[:-1])
    return "" if outer in (1, rows) else f"has constants for {outer} of {rows} rows"


VARIANT = Variant("plain", lower, limits=limits)
