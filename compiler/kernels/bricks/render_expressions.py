# SPDX-License-Identifier: Apache-2.0
"""Prints expressions of lowered TIR as C99, with the parentheses that C needs and no others.

Every node has a printer here or is an error; what a text calls or knows by name is noted beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import ir, sym, tirx
from tvm.ir.prim.expr import IntImm

from tinytailor.compiler.kernels.bricks import render_float
from tinytailor.compiler.kernels.bricks.tir import PARAMETER

_BINARY = {
    tirx.Mul: ("*", 11), tirx.Div: ("/", 11), tirx.Mod: ("%", 11), tirx.Add: ("+", 10),
    tirx.Sub: ("-", 10), tirx.LShift: ("<<", 9), tirx.RShift: (">>", 9), tirx.LT: ("<", 8),
    tirx.LE: ("<=", 8), tirx.GT: (">", 8), tirx.GE: (">=", 8), tirx.EQ: ("==", 7),
    tirx.NE: ("!=", 7), tirx.And: ("&&", 3), tirx.Or: ("||", 2),
}  # fmt: skip
_ATOM, _UNARY, _TERNARY = 20, 13, 1
# C would allow these without parentheses; gcc -Wparentheses and readers do not.
_ALWAYS_PAREN = {"<<", ">>", "&&", "||"}


class UnknownNodeError(Exception):
    """TIR this renderer has no C for: a defect of a schedule, never of user input."""


@dataclass
class Rendered:
    """The lines of a C function body, the helpers they call, the scratch bytes they need, and the
    numbers that they know by name."""

    lines: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    scratch_bytes: int = 0
    parameters: dict[str, int] = field(default_factory=dict)


@dataclass
class Scope:
    out: Rendered
    names: list[tuple[Any, str]]
    externs: Mapping[str, str]  # name in a call_extern -> the helper that defines it
    analyzer: Any
    depth: int = 1

    def emit(self, text: str) -> None:
        self.out.lines.append("    " * self.depth + text)

    def name(self, var: Any) -> str:
        for known, text in reversed(self.names):
            if known.same_as(var):
                return text
        taken = {text for _, text in self.names}
        base = re.sub(r"\W", "_", str(var.name))
        text, count = base, 1
        while text in taken:
            count += 1
            text = f"{base}_{count}"
        self.names.append((var, text))
        return text


def expression(node: Any, names: Sequence[tuple[Any, str]], helpers: set[str]) -> str:
    """An expression over variables with these names; what it calls is added to ``helpers``."""
    return bare(node, Scope(Rendered(helpers=helpers), list(names), {}, sym.Analyzer()))


def ctype(dtype: str) -> str:
    return {"bool": "int", "float32": "float"}.get(dtype, f"{dtype}_t")


def dtype_of(node: Any) -> str:
    return str(node.ty.dtype)


def bare(node: Any, scope: Scope) -> str:
    return _expression(node, scope)[0]


def _at_least(node: Any, level: int, scope: Scope) -> str:
    text, own = _expression(node, scope)
    return text if own >= level else f"({text})"


def _expression(node: Any, scope: Scope) -> tuple[str, int]:
    """(text, binding strength)."""
    kind = type(node)
    if kind is IntImm:
        value = int(node.value)
        if value == -(2**31):
            return "INT32_MIN", _ATOM  # the literal -2147483648 is not of type int
        return (str(value) if value >= 0 else f"({value})"), _ATOM
    if kind is ir.Var:
        return scope.name(node), _ATOM
    if kind is tirx.Cast:
        return f"({ctype(dtype_of(node))}){_at_least(node.value, _UNARY, scope)}", _UNARY
    if kind is ir.TensorLoad:
        return f"{scope.name(node.source)}[{bare(node.indices[0], scope)}]", _ATOM
    if kind in _BINARY:
        return _binary(node, scope)
    real = render_float.expression(node, lambda part: _at_least(part, 0, scope), scope.out.helpers)
    if real is not None:
        return real, _ATOM
    if kind in (tirx.FloorDiv, tirx.FloorMod):
        return _floor(node, scope)
    saturated = _saturated(node)
    if saturated is not None:
        scope.out.helpers.add("saturate8")
        return f"tt_saturate8({bare(saturated, scope)})", _ATOM
    if kind in (tirx.Max, tirx.Min):
        helper = kind.__name__.lower()
        scope.out.helpers.add(helper)
        return f"tt_{helper}({bare(node.a, scope)}, {bare(node.b, scope)})", _ATOM
    if kind is tirx.Select:
        return _ternary(node.condition, node.true_value, node.false_value, scope)
    if kind is ir.Call:
        return _call(node, scope)
    raise UnknownNodeError(f"no C for the TIR expression {kind.__name__}")


def _saturated(node: Any) -> Any | None:
    """x of max(min(x, 127), -128), which cores have an instruction for."""
    if not (isinstance(node, tirx.Max) and isinstance(node.a, tirx.Min)):
        return None
    low, high = node.b, node.a.b
    if not (isinstance(low, IntImm) and isinstance(high, IntImm)):
        return None
    return node.a.a if (int(low.value), int(high.value)) == (-128, 127) else None


def _binary(node: Any, scope: Scope) -> tuple[str, int]:
    operator, level = _BINARY[type(node)]
    strict = operator in _ALWAYS_PAREN
    left = _at_least(node.a, _UNARY if strict and operator in ("<<", ">>") else level, scope)
    right = _at_least(node.b, _UNARY if strict and operator in ("<<", ">>") else level + 1, scope)
    if operator == "||":
        left, right = _at_least(node.a, 4, scope), _at_least(node.b, 4, scope)
    return f"{left} {operator} {right}", level


def _floor(node: Any, scope: Scope) -> tuple[str, int]:
    """Floor division equals C's where the dividend is not negative, which must be provable."""
    if int(scope.analyzer.const_int_bound(node.a).min_value) < 0 or int(node.b) <= 0:
        raise UnknownNodeError(f"floor division of a possibly negative value: {node}")
    operator = "/" if type(node) is tirx.FloorDiv else "%"
    return f"{_at_least(node.a, 11, scope)} {operator} {_at_least(node.b, 12, scope)}", 11


def _ternary(condition: Any, inside: Any, outside: Any, scope: Scope) -> tuple[str, int]:
    parts = [_at_least(part, 2, scope) for part in (condition, inside, outside)]
    return f"({parts[0]}) ? {parts[1]} : {parts[2]}", _TERNARY


def is_call(node: Any, name: str) -> bool:
    return isinstance(node, ir.Call) and str(getattr(node.op, "name", "")).endswith(name)


def _call(node: Any, scope: Scope) -> tuple[str, int]:
    name = str(node.op.name)
    if name.endswith(".if_then_else"):
        condition, inside, outside = node.args
        return _ternary(condition, inside, outside, scope)
    if name.endswith(".address_of"):
        load = node.args[0]
        return address(load.source, load.indices[0], scope), _UNARY
    if is_parameter(node):
        role, value = str(node.args[1].value), int(node.args[2].value)
        if scope.out.parameters.setdefault(role, value) != value:
            raise UnknownNodeError(f"two values for the parameter {role}")
        return role, _ATOM
    if name.endswith(".call_pure_extern"):
        function = str(node.args[0].value)
        scope.out.helpers.add(function.removeprefix("tt_"))
        return f"{function}({', '.join(bare(arg, scope) for arg in node.args[1:])})", _ATOM
    if name.endswith(".call_extern"):
        function = str(node.args[0].value)
        scope.out.helpers.add(scope.externs[function])
        return f"{function}({', '.join(bare(arg, scope) for arg in node.args[1:])})", _ATOM
    raise UnknownNodeError(f"no C for the TIR call {name}")


def is_parameter(node: Any) -> bool:
    return is_call(node, ".call_pure_extern") and str(node.args[0].value) == PARAMETER


def address(buffer: Any, index: Any, scope: Scope) -> str:
    index = scope.analyzer.simplify(index)
    name = scope.name(buffer)
    if isinstance(index, IntImm) and int(index.value) == 0:
        return name
    return f"&{name}[{bare(index, scope)}]"
