# SPDX-License-Identifier: Apache-2.0
"""A call for each pixel, which computes its channels four at a time."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as script

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.isa import mve_taps
from tinytailor.compiler.kernels.resize_linear.plain import overlap
from tinytailor.compiler.kernels.variant import MVE, Variant
from tinytailor.compiler.ops.resize_linear import ResizeLinear


def lower(op: ResizeLinear, shapes: Shapes, constants: Constants) -> TirKernel:
    *_, columns, channels = shapes[0]
    _, height, width, _ = op.output_shape(*shapes)
    steps = {1: columns * channels, 2: channels}
    rows_at, columns_at = ([0, n] if axis in op.axes else [0] for axis, n in steps.items())
    block = mve_taps.interpolate_block(rows_at, columns_at, channels)
    scalars = (
        tir.parameter("bias", op.bias),
        tir.parameter("right_shift", op.shift),
        tir.parameter("zero_point", op.zero_point),
        *tir.bounds(op.low, op.high),
    )
    with IRBuilder() as builder, script.prim_func():
        script.func_name("main")
        x = script.arg("x", script.Buffer((prod(shapes[0]),), "int8"))
        tables = {
            role: script.arg(role, script.Buffer((array.size,), "int16"))
            for role, array in constants.items()
        }
        y = script.arg("y", script.Buffer((height * width * channels,), "int8"))
        with script.serial(0, height) as h, script.serial(0, width) as w:
            row, column = first(tables, 1, h), first(tables, 2, w)
            start = (row * columns + column) * channels
            call = tirx.call_extern(
                "int32",
                block.function,
                tirx.address_of(x[start]),
                tirx.address_of(y[(h * width + w) * channels]),
                *factors(sides(tables, 1, h), sides(tables, 2, w)),
                *scalars,
            )
            script.evaluate(call)
    arguments = ("x0", *tables, "y")
    distance = {0: overlap(op, shapes, constants)}
    return TirKernel(builder.get(), arguments, dict(constants), (block,), distance)


def first(tables: Mapping[str, Any], axis: int, place: Any) -> Any:
    """The first neighbour of ``place``."""
    table = tables.get(f"index{axis}")
    return place if table is None else tir.int32(table[place])


def sides(tables: Mapping[str, Any], axis: int, place: Any) -> list[Any]:
    """The weights of both neighbours; none where the axis does not change."""
    table = tables.get(f"weight{axis}")
    return [] if table is None else [tir.int32(table[place * 2 + side]) for side in (0, 1)]


def factors(rows: list[Any], columns: list[Any]) -> list[Any]:
    """Of all taps, as the block takes them."""
    if not rows or not columns:
        return rows or columns
    return [row * column for row in rows for column in columns]


def limits(op: ResizeLinear, shapes: Shapes) -> str:
    channels = shapes[0][3]
    far = 2 in op.axes and channels > mve_taps.FARTHEST
    return f"takes up to {mve_taps.FARTHEST} channels, not {channels}" if far else ""


VARIANT = Variant("mve_taps", lower, MVE, limits)
