# SPDX-License-Identifier: Apache-2.0
"""One sum per output element. Outputs never catch up with inputs still to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import window_overlap
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.pool import AveragePool2d


def lower(op: AveragePool2d, shapes: Shapes, constants: Constants) -> TirKernel:
    _, oh, ow, _ = op.output_shape(*shapes)
    size = (oh, ow, shapes[0][3])
    (kh, kw), (sh, sw) = op.window.kernel, op.window.stride
    x = te.placeholder(shapes[0], "int8", name="x")
    roles = {
        role: te.placeholder(spec.shape, spec.dtype, name=role)
        for role, spec in op.constants(*shapes).items()
    }
    at = tir.padded(x, op.window.padding, tir.const(0, "int8"))
    i, j = te.reduce_axis((0, kh), "i"), te.reduce_axis((0, kw), "j")
    acc = te.compute(
        size,
        lambda h, v, c: te.sum(tir.int32(at(h * sh + i, v * sw + j, c)), axis=[i, j]),
        name="acc",
    )
    y = te.compute(size, _rounded(op, shapes[0], acc, roles), name="y")
    schedule = tir.schedule_of((x, *roles.values(), y))
    loops = schedule.get_loops(schedule.get_sblock("y"))
    total = schedule.get_sblock("acc")
    schedule.compute_at(total, loops[-1], preserve_unit_loops=True)
    schedule.decompose_reduction(total, schedule.get_loops(total)[-2])
    overlap = {0: window_overlap(shapes[0], (oh, ow), op.window)}
    arguments = ("x0", *roles, "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap=overlap)


def _rounded(
    op: AveragePool2d, shape: Shape, acc: Any, roles: Mapping[str, Any]
) -> Callable[[Any, Any, Any], Any]:
    """The output element of a sum, in the one of three ways that ``op`` asks for."""

    def mean(h: Any, v: Any, c: Any) -> Any:
        count = _count(op, shape, h, v)
        half = tirx.truncdiv(count, tir.const(2))
        away = tirx.Select(acc[h, v, c] < 0, acc[h, v, c] - half, acc[h, v, c] + half)
        return tir.clamped(tirx.truncdiv(away, count), op.low, op.high).astype("int8")

    def even(h: Any, v: Any, c: Any) -> Any:
        count, two = _count(op, shape, h, v), tir.const(2)
        shift = tir.parameter("offset", op.offset)
        total = acc[h, v, c] + count * shift
        whole, rest = tirx.truncdiv(total, count), tirx.truncmod(total, count)
        up = two * rest + tirx.truncmod(whole, two) > count
        y = whole + tirx.Select(up, tir.const(1), tir.const(0)) - shift
        return tir.clamped(y, op.low, op.high).astype("int8")

    def requantized(h: Any, v: Any, c: Any) -> Any:
        assert op.requant is not None
        count = _count(op, shape, h, v)
        zero_point = tir.parameter("input_zero_point", op.input_zero_point)
        total = acc[h, v, c] - count * zero_point
        return tir.requantize(total, roles["multiplier"][count - 1], op.requant)

    return requantized if roles else even if op.ties_even else mean


def _count(op: AveragePool2d, shape: Shape, h: Any, v: Any) -> Any:
    """How many elements of the window of output (h, v) lie inside the map."""
    product = tir.const(1)
    for axis, place in enumerate((h, v)):
        before, after = op.window.padding[axis], op.window.padding[axis + 2]
        first = place * op.window.stride[axis] - before
        last = first + op.window.kernel[axis]
        if before:
            first = tirx.max(first, tir.const(0))
        if after:
            last = tirx.min(last, tir.const(shape[1 + axis]))
        product = product * (last - first)
    return product


VARIANT = Variant("plain", lower)
