# SPDX-License-Identifier: Apache-2.0
"""Prints lowered TIR as C99.

Statements are printed by a table keyed by TIR node type; a node outside it is an error. Small int32
buffers (accumulator tiles) become C arrays, which the C compiler keeps in registers; all others are
carved from the scratch pointer, word aligned. A loop that only copies, widens or fills contiguous
elements becomes one call, faster and easier to read than the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import ir, sym, tirx
from tvm.ir.prim.expr import IntImm
from tvm_ffi import structural_equal, structural_walk

from tinytailor.compiler.kernels.bricks.render_expressions import (
    Rendered,
    Scope,
    UnknownNodeError,
    address,
    bare,
    ctype,
    dtype_of,
    is_call,
    is_parameter,
)
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
_BYTES = {"bool": 4, "int8": 1, "uint8": 1, "int16": 2, "int64": 8}
_BYTES |= {"int32": 4, "uint32": 4, "float32": 4}


def render(func: tirx.PrimFunc, parameters: Sequence[str], externs: Mapping[str, str]) -> Rendered:
    """The body of ``func`` with its parameters, in order, under the names ``parameters``."""
    names = list(zip(func.params, parameters, strict=True))
    scope = Scope(Rendered(), names, externs, sym.Analyzer())
    _statement(func.body, scope)
    return scope.out


def _statement(node: Any, scope: Scope) -> None:
    printer = _STATEMENTS.get(type(node))
    if printer is None:
        raise UnknownNodeError(f"no C for the TIR statement {type(node).__name__}")
    printer(node, scope)


def _sequence(node: Any, scope: Scope) -> None:
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


def _allocate(node: Any, scope: Scope) -> None:
    dtype, elements = dtype_of(node.buffer), 1
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


def _declare(node: Any, scope: Scope) -> None:
    """A flat view of a parameter or local: the same pointer under the same name."""
    root = node.data.args[0] if isinstance(node.data, ir.Call) else node.data
    scope.names.append((node.buffer, scope.name(root)))


def _loop(node: Any, scope: Scope) -> None:
    if int(node.min) != 0:
        raise UnknownNodeError("a loop that does not start at 0")
    if _hoisted_condition(node, scope) or _bulk(node, scope):
        return
    scope.analyzer.bind(node.loop_var, ir.Range(0, node.extent))
    depth = len(scope.names)
    var = scope.name(node.loop_var)
    scope.emit(f"for (int32_t {var} = 0; {var} < {bare(node.extent, scope)}; ++{var}) {{")
    _indented(node.body, scope)
    scope.emit("}")
    del scope.names[depth:]


def _indented(body: Any, scope: Scope) -> None:
    scope.depth += 1
    _statement(body, scope)
    scope.depth -= 1


def _store(node: Any, scope: Scope) -> None:
    target = f"{scope.name(node.buffer)}[{bare(node.indices[0], scope)}]"
    scope.emit(f"{target} = {bare(node.value, scope)};")


def _if(node: Any, scope: Scope) -> None:
    scope.emit(f"if ({bare(node.condition, scope)}) {{")
    _indented(node.then_case, scope)
    if node.else_case is not None:
        scope.emit("} else {")
        _indented(node.else_case, scope)
    scope.emit("}")


def _evaluate(node: Any, scope: Scope) -> None:
    scope.emit(f"{bare(node.value, scope)};")


def _bind(node: Any, scope: Scope) -> None:
    value = bare(node.value, scope)
    scope.emit(f"const {ctype(dtype_of(node.var))} {scope.name(node.var)} = {value};")


_STATEMENTS: dict[type, Callable[[Any, Scope], None]] = {
    tirx.SeqStmt: _sequence,
    tirx.AllocBuffer: _allocate,
    tirx.DeclBuffer: _declare,
    tirx.For: _loop,
    tirx.BufferStore: _store,
    tirx.IfThenElse: _if,
    tirx.Evaluate: _evaluate,
    tirx.Bind: _bind,
}


def _hoisted_condition(node: Any, scope: Scope) -> bool:
    """A nest of ``y[v] = (c && d) ? a : b`` with c free of its variables: nests under one if."""
    store, variables = innermost(node)
    if not isinstance(store, tirx.BufferStore) or not is_call(store.value, "if_then_else"):
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


def _contiguous(index: Any, var: Any, scope: Scope) -> bool:
    step = replace(index, var, var + 1) - index
    return bool(scope.analyzer.can_prove_equal(step, 1))


def _bulk(node: Any, scope: Scope) -> bool:
    """Print a contiguous copy, int8 -> int16 widening or fill as one call; False if it is none."""
    store, var = node.body, node.loop_var
    if not isinstance(store, tirx.BufferStore) or int(node.extent) < BULK_ELEMENTS:
        return False
    if not _contiguous(store.indices[0], var, scope):
        return False
    dtype, count = dtype_of(store.buffer), int(node.extent)
    target = address(store.buffer, replace(store.indices[0], var, tirx.const(0)), scope)
    value = store.value
    named = isinstance(value, tirx.Cast) and is_parameter(value.value)
    if dtype in ("int8", "int16") and (named or isinstance(value, IntImm)):
        helper = "fill8" if dtype == "int8" else "fill16"
        scope.out.helpers.add(helper)
        number = bare(value, scope) if named else str(int(value.value))
        scope.emit(f"tt_{helper}({target}, {number}, {count});")
        return True
    widened = isinstance(value, tirx.Cast) and dtype == "int16"
    load = value.value if widened else value
    if not isinstance(load, ir.TensorLoad) or not _contiguous(load.indices[0], var, scope):
        return False
    source = address(load.source, replace(load.indices[0], var, tirx.const(0)), scope)
    if widened and dtype_of(load.source) == "int8":
        scope.out.helpers.add("widen")
        scope.emit(f"tt_widen({target}, {source}, {count});")
        return True
    if not widened and dtype_of(load.source) == dtype:
        scope.emit(f"memcpy({target}, {source}, {count * _BYTES[dtype]});")
        return True
    return False
