# SPDX-License-Identifier: Apache-2.0
"""Prints lowered TIR as C99.

Statements and expressions are printed by tables keyed by TIR node type; a node outside them is an
error. Small int32 buffers (accumulator tiles) become C arrays, which the C compiler keeps in
registers; all others are carved from the scratch pointer, word aligned. A loop that only copies,
widens or fills contiguous elements becomes one call, faster and easier to read than the loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import ir, sym, tirx
from tvm.ir.prim.expr import IntImm
from tvm_ffi import structural_equal, structural_walk

from tinytailor.compiler.kernels.bricks import render_float
from tinytailor.compiler.kernels.bricks.tir import PARAMETER, REQUANTIZE
from tinytailor.compiler.kernels.bricks.tir_nodes import (
    conjunction,
    innermost,
    replace,
    uses,
    with_body,
)

REGISTER_BYTES = 64
SCRATCH_ALIGNMENT = 8
BULK_ELEMENTS = 4  # shorter loops stay loops
_BYTES = {"bool": 4, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "uint32": 4, "int64": 8}
_BYTES["float32"] = 4


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
class _Scope:
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


def render(func: tirx.PrimFunc, parameters: Sequence[str], externs: Mapping[str, str]) -> Rendered:
    """The body of ``func`` with its parameters, in order, under the names ``parameters``."""
    names = list(zip(func.params, parameters, strict=True))
    scope = _Scope(Rendered(), names, externs, sym.Analyzer())
    _statement(func.body, scope)
    return scope.out


def expression(node: Any, names: Sequence[tuple[Any, str]], helpers: set[str]) -> str:
    """An expression over variables with these names; what it calls is added to ``helpers``."""
    return _bare(node, _Scope(Rendered(helpers=helpers), list(names), {}, sym.Analyzer()))


def ctype(dtype: str) -> str:
    return {"bool": "int", "float32": "float"}.get(dtype, f"{dtype}_t")


def _dtype(node: Any) -> str:
    return str(node.ty.dtype)


# --- statements


def _statement(node: Any, scope: _Scope) -> None:
    printer = _STATEMENTS.get(type(node))
    if printer is None:
        raise UnknownNodeError(f"no C for the TIR statement {type(node).__name__}")
    printer(node, scope)


def _sequence(node: Any, scope: _Scope) -> None:
    for child in _merged(node.seq):
        _statement(child, scope)


def _merged(children: Sequence[Any]) -> list[Any]:
    """Neighbours under one condition become one ``if``: it depends on loop variables alone."""
    merged: list[Any] = []
    for child in children:
        last: Any = merged[-1] if merged else None
        if _pure_if(child) and _pure_if(last) and structural_equal(child.condition, last.condition):
            both = tirx.SeqStmt([last.then_case, child.then_case])
            merged[-1] = tirx.IfThenElse(child.condition, both, None)
        else:
            merged.append(child)
    return merged


def _pure_if(node: Any) -> bool:
    """An ``if`` without ``else`` that reads no memory."""
    if not isinstance(node, tirx.IfThenElse) or node.else_case is not None:
        return False
    loads: list[bool] = []
    structural_walk(node.condition, (ir.TensorLoad, lambda _: loads.append(True)))
    return not loads


def _allocate(node: Any, scope: _Scope) -> None:
    dtype, elements = _dtype(node.buffer), 1
    for extent in node.buffer.ty.shape:
        elements *= int(extent)
    size = elements * _BYTES[dtype]
    name = scope.name(node.buffer)
    if dtype in ("int32", "float32") and size <= REGISTER_BYTES:
        scope.emit(f"{ctype(dtype)} {name}[{elements}];")
        return
    at = f"(scratch + {scope.out.scratch_bytes})" if scope.out.scratch_bytes else "scratch"
    scope.emit(f"{ctype(dtype)} *const {name} = (void *){at};")
    scope.out.scratch_bytes += -(-size // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT


def _declare(node: Any, scope: _Scope) -> None:
    """A flat view of a parameter or local: the same pointer under the same name."""
    root = node.data.args[0] if isinstance(node.data, ir.Call) else node.data
    scope.names.append((node.buffer, scope.name(root)))


def _loop(node: Any, scope: _Scope) -> None:
    if int(node.min) != 0:
        raise UnknownNodeError("a loop that does not start at 0")
    if _hoisted_condition(node, scope) or _bulk(node, scope):
        return
    scope.analyzer.bind(node.loop_var, ir.Range(0, node.extent))
    depth = len(scope.names)
    var = scope.name(node.loop_var)
    scope.emit(f"for (int32_t {var} = 0; {var} < {_bare(node.extent, scope)}; ++{var}) {{")
    _indented(node.body, scope)
    scope.emit("}")
    del scope.names[depth:]


def _indented(body: Any, scope: _Scope) -> None:
    scope.depth += 1
    _statement(body, scope)
    scope.depth -= 1


def _store(node: Any, scope: _Scope) -> None:
    target = f"{scope.name(node.buffer)}[{_bare(node.indices[0], scope)}]"
    scope.emit(f"{target} = {_bare(node.value, scope)};")


def _if(node: Any, scope: _Scope) -> None:
    scope.emit(f"if ({_bare(node.condition, scope)}) {{")
    _indented(node.then_case, scope)
    if node.else_case is not None:
        scope.emit("} else {")
        _indented(node.else_case, scope)
    scope.emit("}")


def _evaluate(node: Any, scope: _Scope) -> None:
    scope.emit(f"{_bare(node.value, scope)};")


def _bind(node: Any, scope: _Scope) -> None:
    value = _bare(node.value, scope)
    scope.emit(f"const {ctype(_dtype(node.var))} {scope.name(node.var)} = {value};")


_STATEMENTS: dict[type, Callable[[Any, _Scope], None]] = {
    tirx.SeqStmt: _sequence,
    tirx.AllocBuffer: _allocate,
    tirx.DeclBuffer: _declare,
    tirx.For: _loop,
    tirx.BufferStore: _store,
    tirx.IfThenElse: _if,
    tirx.Evaluate: _evaluate,
    tirx.Bind: _bind,
}


# --- loops that are one operation


def _hoisted_condition(node: Any, scope: _Scope) -> bool:
    """A nest of ``y[v] = (c && d) ? a : b`` with c free of its variables: nests under one if."""
    store, variables = innermost(node)
    if not isinstance(store, tirx.BufferStore) or not _is_call(store.value, "if_then_else"):
        return False
    condition, inside, outside = store.value.args
    parts = conjunction(condition)
    varying = [part for part in parts if any(uses(part, v) for v in variables)]
    if len(varying) == len(parts):
        return False
    fixed = [part for part in parts if not any(uses(part, v) for v in variables)]

    def with_value(value: Any) -> Any:
        return with_body(node, tirx.BufferStore(store.buffer, value, store.indices))

    if varying:
        inside = tirx.if_then_else(tirx.all(*varying), inside, outside)
    test = tirx.all(*fixed)
    _if(tirx.IfThenElse(test, with_value(inside), with_value(outside)), scope)
    return True


def _contiguous(index: Any, var: Any, scope: _Scope) -> bool:
    step = replace(index, var, var + 1) - index
    return bool(scope.analyzer.can_prove_equal(step, 1))


def _bulk(node: Any, scope: _Scope) -> bool:
    """Print a contiguous copy, int8 -> int16 widening or fill as one call; False if it is none."""
    store, var = node.body, node.loop_var
    if not isinstance(store, tirx.BufferStore) or int(node.extent) < BULK_ELEMENTS:
        return False
    if not _contiguous(store.indices[0], var, scope):
        return False
    dtype, count = _dtype(store.buffer), int(node.extent)
    target = _address(store.buffer, replace(store.indices[0], var, tirx.const(0)), scope)
    value = store.value
    if isinstance(value, IntImm) and dtype in ("int8", "int16"):
        helper = "fill8" if dtype == "int8" else "fill16"
        scope.out.helpers.add(helper)
        scope.emit(f"tt_{helper}({target}, {int(value.value)}, {count});")
        return True
    if isinstance(value, tirx.Cast) and _parameter(value.value) and dtype in ("int8", "int16"):
        helper = "fill8" if dtype == "int8" else "fill16"
        scope.out.helpers.add(helper)
        scope.emit(f"tt_{helper}({target}, {_bare(value, scope)}, {count});")
        return True
    widened = isinstance(value, tirx.Cast) and dtype == "int16"
    load = value.value if widened else value
    if not isinstance(load, ir.TensorLoad) or not _contiguous(load.indices[0], var, scope):
        return False
    source = _address(load.source, replace(load.indices[0], var, tirx.const(0)), scope)
    if widened and _dtype(load.source) == "int8":
        scope.out.helpers.add("widen")
        scope.emit(f"tt_widen({target}, {source}, {count});")
        return True
    if not widened and _dtype(load.source) == dtype:
        scope.emit(f"memcpy({target}, {source}, {count * _BYTES[dtype]});")
        return True
    return False


# --- expressions


_BINARY = {
    tirx.Mul: ("*", 11), tirx.Div: ("/", 11), tirx.Mod: ("%", 11), tirx.Add: ("+", 10),
    tirx.Sub: ("-", 10), tirx.LShift: ("<<", 9), tirx.RShift: (">>", 9), tirx.LT: ("<", 8),
    tirx.LE: ("<=", 8), tirx.GT: (">", 8), tirx.GE: (">=", 8), tirx.EQ: ("==", 7),
    tirx.NE: ("!=", 7), tirx.And: ("&&", 3), tirx.Or: ("||", 2),
}  # fmt: skip
_ATOM, _UNARY, _TERNARY = 20, 13, 1
# C would allow these without parentheses; gcc -Wparentheses and readers do not.
_ALWAYS_PAREN = {"<<", ">>", "&&", "||"}


def _bare(node: Any, scope: _Scope) -> str:
    return _expression(node, scope)[0]


def _at_least(node: Any, level: int, scope: _Scope) -> str:
    text, own = _expression(node, scope)
    return text if own >= level else f"({text})"


def _expression(node: Any, scope: _Scope) -> tuple[str, int]:
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
        return f"({ctype(_dtype(node))}){_at_least(node.value, _UNARY, scope)}", _UNARY
    if kind is ir.TensorLoad:
        return f"{scope.name(node.source)}[{_bare(node.indices[0], scope)}]", _ATOM
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
        return f"tt_saturate8({_bare(saturated, scope)})", _ATOM
    if kind in (tirx.Max, tirx.Min):
        helper = kind.__name__.lower()
        scope.out.helpers.add(helper)
        return f"tt_{helper}({_bare(node.a, scope)}, {_bare(node.b, scope)})", _ATOM
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


def _binary(node: Any, scope: _Scope) -> tuple[str, int]:
    operator, level = _BINARY[type(node)]
    strict = operator in _ALWAYS_PAREN
    left = _at_least(node.a, _UNARY if strict and operator in ("<<", ">>") else level, scope)
    right = _at_least(node.b, _UNARY if strict and operator in ("<<", ">>") else level + 1, scope)
    if operator == "||":
        left, right = _at_least(node.a, 4, scope), _at_least(node.b, 4, scope)
    return f"{left} {operator} {right}", level


def _floor(node: Any, scope: _Scope) -> tuple[str, int]:
    """Floor division equals C's where the dividend is not negative, which must be provable."""
    if int(scope.analyzer.const_int_bound(node.a).min_value) < 0 or int(node.b) <= 0:
        raise UnknownNodeError(f"floor division of a possibly negative value: {node}")
    operator = "/" if type(node) is tirx.FloorDiv else "%"
    return f"{_at_least(node.a, 11, scope)} {operator} {_at_least(node.b, 12, scope)}", 11


def _ternary(condition: Any, inside: Any, outside: Any, scope: _Scope) -> tuple[str, int]:
    parts = [_at_least(part, 2, scope) for part in (condition, inside, outside)]
    return f"({parts[0]}) ? {parts[1]} : {parts[2]}", _TERNARY


def _is_call(node: Any, name: str) -> bool:
    return isinstance(node, ir.Call) and str(getattr(node.op, "name", "")).endswith(name)


def _call(node: Any, scope: _Scope) -> tuple[str, int]:
    name = str(node.op.name)
    if name.endswith(".if_then_else"):
        condition, inside, outside = node.args
        return _ternary(condition, inside, outside, scope)
    if name.endswith(".address_of"):
        load = node.args[0]
        return _address(load.source, load.indices[0], scope), _UNARY
    if _parameter(node):
        role, value = str(node.args[1].value), int(node.args[2].value)
        if scope.out.parameters.setdefault(role, value) != value:
            raise UnknownNodeError(f"two values for the parameter {role}")
        return role, _ATOM
    if name.endswith(".call_pure_extern") and str(node.args[0].value) == REQUANTIZE:
        scope.out.helpers.add("requantize")
        return f"{REQUANTIZE}({', '.join(_bare(arg, scope) for arg in node.args[1:])})", _ATOM
    if name.endswith(".call_extern"):
        function = str(node.args[0].value)
        scope.out.helpers.add(scope.externs[function])
        return f"{function}({', '.join(_bare(arg, scope) for arg in node.args[1:])})", _ATOM
    raise UnknownNodeError(f"no C for the TIR call {name}")


def _parameter(node: Any) -> bool:
    return _is_call(node, ".call_pure_extern") and str(node.args[0].value) == PARAMETER


def _address(buffer: Any, index: Any, scope: _Scope) -> str:
    index = scope.analyzer.simplify(index)
    name = scope.name(buffer)
    if isinstance(index, IntImm) and int(index.value) == 0:
        return name
    return f"&{name}[{_bare(index, scope)}]"
