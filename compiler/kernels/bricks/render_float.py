# SPDX-License-Identifier: Apache-2.0
"""Prints what only layers in float have: float32 literals, comparisons, functions.

Literals are hexadecimal, so that no compiler rounds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import ir, tirx
from tvm.ir.prim.expr import FloatImm

from tinytailor.compiler.c_literals import float_literal
from tinytailor.compiler.kernels.bricks import float_math

EXTREMA: dict[type, str] = {tirx.Max: "fmax", tirx.Min: "fmin"}
BITS = {"float32": "float_of", "int32": "bits_of"}


def expression(node: Any, printed: Callable[[Any], str], helpers: set[str]) -> str | None:
    """``node`` as an atom of C; None if it is nothing special to float.

    ``printed`` prints what is in it; the helpers it calls are added to ``helpers``.
    """
    kind = type(node)
    if kind is FloatImm:
        text = float_literal(float(node.value))
        return f"({text})" if text.startswith("-") else text
    if kind in EXTREMA and str(node.ty.dtype) == "float32":
        helpers.add(EXTREMA[kind])
        return f"tt_{EXTREMA[kind]}({printed(node.a)}, {printed(node.b)})"
    if kind is tirx.Not:
        return f"!({printed(node.a)})"
    if not isinstance(node, ir.Call):
        return None
    name = float_math.name_of(node)
    if name is not None:
        helpers.update(float_math.dependencies(name))
    elif str(node.op.name).endswith(".reinterpret"):
        name = BITS[str(node.ty.dtype)]
        helpers.add(name)
    if name is None:
        return None
    return f"tt_{name}({', '.join(printed(argument) for argument in node.args)})"
