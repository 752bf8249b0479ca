# SPDX-License-Identifier: Apache-2.0
"""Rows under a window that stay from one line to the next are kept instead of fetched again.

    for h:                          rows s.. <- fetch(-1, s..)
        rows 0.. <- fetch(h, 0..)   for h:
        compute                =>       rows 0.. <- rows s..          the window moves down by s
                                        rows n-s.. <- fetch(h, n-s..)
                                        compute

fetch(h, r) reads row h * s + r of the map, so every row of it is read once, and before a line is
written over rows that the next one needs. That is what lets a depthwise convolution run in place.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, tirx
from tvm_ffi import structural_map

from tinytailor.compiler.kernels.bricks.kernel import Sliding


def slide(func: tirx.PrimFunc, sliding: Sliding) -> tirx.PrimFunc:
    """``func``, lowered, with the first statement of its outermost loop sliding as said."""
    *declarations, line = func.body.seq
    fetch, *work = line.body.seq
    buffer = _innermost(fetch).buffer
    kept = sliding.rows - sliding.step
    if str(buffer.name) != sliding.name or int(fetch.extent) != sliding.rows or kept < 1:
        raise ValueError(f"{sliding} does not describe the loop\n{fetch}")
    row = int(buffer.ty.shape[0]) // sliding.rows
    preload = _part(_replace(fetch, line.loop_var, tirx.const(-1)), sliding.step, kept)
    turn = [_shift(buffer, kept, sliding.step, row), _part(fetch, kept, sliding.step), *work]
    loop = tirx.For(line.loop_var, line.min, line.extent, line.kind, tirx.SeqStmt(turn))
    body = tirx.SeqStmt([*declarations, preload, loop])
    mod = tvm.IRModule({"main": func.with_body(body)})
    for step in (
        tirx.transform.ConvertSSA(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
    ):
        mod = step(mod)
    return mod["main"]


def _innermost(node: Any) -> Any:
    while isinstance(node, tirx.For):
        node = node.body
    return node


def _replace(node: Any, var: Any, value: Any) -> Any:
    return structural_map(node, (ir.Var, lambda v: value if v.same_as(var) else v))


def _part(fetch: Any, first: int, count: int) -> Any:
    """The turns ``first`` to ``first + count`` of the loop ``fetch``."""
    if count == 1:
        return _replace(fetch.body, fetch.loop_var, tirx.const(first))
    var = tirx.Var(str(fetch.loop_var.name), "int32")
    return tirx.For(
        var,
        fetch.min,
        tirx.const(count),
        fetch.kind,
        _replace(fetch.body, fetch.loop_var, var + first),
    )


def _shift(buffer: Any, rows: int, step: int, row: int) -> Any:
    r, i = tirx.Var("r", "int32"), tirx.Var("i", "int32")
    load = tirx.BufferLoad(buffer, [(r + step) * row + i])
    store = tirx.BufferStore(buffer, load, [r * row + i])
    inner = tirx.For(i, tirx.const(0), tirx.const(row), tirx.ForKind.SERIAL, store)
    return tirx.For(r, tirx.const(0), tirx.const(rows), tirx.ForKind.SERIAL, inner)
