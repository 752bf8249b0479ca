# SPDX-License-Identifier: Apache-2.0
"""Questions about nodes of TIR, and changed copies of them."""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx
from tvm_ffi import structural_map, structural_walk


def uses(expr: Any, var: Any) -> bool:
    found: list[bool] = []
    structural_walk(expr, (ir.Var, lambda v: found.append(True) if v.same_as(var) else None))
    return bool(found)


def replace(expr: Any, var: Any, value: Any) -> Any:
    return structural_map(expr, (ir.Var, lambda v: value if v.same_as(var) else v))


def conjunction(condition: Any) -> list[Any]:
    if isinstance(condition, tirx.And):
        return conjunction(condition.a) + conjunction(condition.b)
    return [condition]


def innermost(node: Any) -> tuple[Any, list[Any]]:
    """What a nest of loops repeats, and the variables of its loops."""
    variables = []
    while isinstance(node, tirx.For):
        variables.append(node.loop_var)
        node = node.body
    return node, variables


def with_body(node: Any, body: Any) -> Any:
    """The nest of loops ``node`` around another body."""
    if not isinstance(node, tirx.For):
        return body
    inner = with_body(node.body, body)
    return tirx.For(node.loop_var, node.min, node.extent, node.kind, inner)
