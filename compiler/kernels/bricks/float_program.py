# SPDX-License-Identifier: Apache-2.0
"""What a float operator computes, as TIR: from Relax calls to one function, scheduled, on the host.

    Relax function --LegalizeOps--> one TIR function a call --FuseTIR--> one, kept as JSON

Its schedule inlines what only moves or scales elements, so that a tensor is not written in float
only to be read once, and sets each sum up in front of its loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import tvm
from tvm import ir, relax, s_tir, tirx
from tvm_ffi import structural_map, structural_walk

from tinytailor.compiler.kernels.bricks import float_math
from tinytailor.compiler.kernels.bricks.render import render
from tinytailor.compiler.kernels.bricks.render_expressions import UnknownNodeError
from tinytailor.compiler.kernels.bricks.tir import lower
from tinytailor.targets.errors import InputError

SIMPLE = ("if_then_else", "reinterpret", "likely")  # calls that C has an operator or a line for
_FUNCTION = "fused"
Run = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray]


class NoProgramError(Exception):
    """TVM does not lower the calls to one function that C can be printed of."""


def program_of(function: relax.Function) -> tuple[str, list[int]]:
    """The JSON of the one TIR function that ``function`` is, and which parameters it has kept.

    NoProgramError says why there is none.
    """
    builder = relax.BlockBuilder()
    whole = builder.add_func(function.with_attr("Primitive", True), _FUNCTION)
    variables = [relax.Var(f"a{i}", parameter.ty) for i, parameter in enumerate(function.params)]
    with builder.function("main", variables):
        with builder.dataflow():
            result = builder.emit_output(relax.Call(whole, variables))
        builder.emit_func_output(result)
    module = relax.transform.FuseTIR()(relax.transform.LegalizeOps()(builder.get()))
    (fused,) = (f for f in module.functions.values() if isinstance(f, tirx.PrimFunc))
    narrow = tirx.transform.ForceNarrowIndexToInt32()
    fused = narrow(tvm.IRModule({"main": fused}))["main"]
    check(fused)
    kept = read_parameters(fused)
    parameters = [*(fused.params[i] for i in kept), fused.params[-1]]
    program = str(ir.save_json(tirx.PrimFunc(parameters, fused.body, attrs=fused.attrs)))
    check_printed(program, len(parameters))
    return program, kept


def check_printed(program: str, parameters: int) -> None:
    """NoProgramError unless the back end has C for all of it."""
    names = [f"p{i}" for i in range(parameters)]
    try:
        text = "\n".join(render(lower(scheduled(program)), names, {}).lines)
    except (UnknownNodeError, KeyError) as error:
        raise NoProgramError(f"it needs {error}, which has no form in C here") from None
    if "int64_t" in text or "double" in text:
        raise NoProgramError("it computes with numbers of 64 bits")


def read_parameters(function: tirx.PrimFunc) -> list[int]:
    """Those whose elements matter; of ones_like, say, only the shape does."""
    read: list[Any] = []
    structural_walk(function.body, (ir.TensorLoad, lambda load: read.append(load.source)))
    return [
        place
        for place, parameter in enumerate(function.params[:-1])
        if any(parameter.same_as(source) for source in read)
    ]


def check(function: tirx.PrimFunc) -> None:
    """NoProgramError for calls that have no C form, all of them in one sentence."""
    unknown: set[str] = set()

    def note(node: Any) -> None:
        name = str(getattr(node.op, "name", type(node.op).__name__)).rpartition(".")[2]
        if float_math.name_of(node) is None and name not in SIMPLE:
            unknown.add(name)

    structural_walk(function.body, (ir.Call, note))
    if unknown:
        raise NoProgramError(f"it needs {', '.join(sorted(unknown))}, which has no form in C here")


def loaded(program: str) -> tirx.PrimFunc:
    try:
        function = ir.load_json(program)
    except Exception as error:
        raise InputError(
            f"a float operator cannot be read ({error}); compile the model again"
        ) from None
    if not isinstance(function, tirx.PrimFunc):
        raise InputError("a float operator holds no function; compile the model again")
    return function


def scheduled(program: str) -> tirx.PrimFunc:
    """With what costs nothing inlined, and each reduction set up before its loops."""
    schedule = s_tir.Schedule(loaded(program).with_attr("global_symbol", "main"))
    root = schedule.get_sblock("root", "main")
    for block in schedule.get_child_blocks(root):
        if inlines(schedule, block):
            schedule.compute_inline(block)
    for block in schedule.get_child_blocks(root):
        reduced = [
            loop
            for loop, axis in zip(
                schedule.get_loops(block), schedule.get(block).iter_vars, strict=False
            )
            if axis.iter_type == tirx.IterVar.CommReduce
        ]
        if reduced and schedule.get(block).init is not None:
            schedule.decompose_reduction(block, reduced[0])
    return with_products(schedule.mod["main"])


def inlines(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether each element is computed by one store, and no more often for being inlined."""
    node = schedule.get(block)
    if node.init is not None or not isinstance(node.body, tirx.BufferStore):
        return False
    if any(axis.iter_type != tirx.IterVar.DataPar for axis in node.iter_vars):
        return False
    readers = schedule.get_consumers(block)
    if not readers:
        return False
    costly = bool(float_math.called(node.body))
    if costly and (len(readers) > 1 or turns(schedule, readers[0]) > turns(schedule, block)):
        return False
    trial = schedule.copy()
    try:
        trial.compute_inline(trial.get_sblock(node.name_hint))
    except s_tir.ScheduleError:
        return False
    return True


def turns(schedule: s_tir.Schedule, block: Any) -> int:
    count = 1
    for axis in schedule.get(block).iter_vars:
        count *= int(axis.dom.extent)
    return count


def with_products(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Squares and cubes as the products they are."""

    def change(node: Any) -> Any:
        if float_math.name_of(node) != "pow":
            return node
        base, exponent = node.args
        whole = getattr(exponent, "value", None)
        if whole not in (1.0, 2.0, 3.0):
            return node
        value = base
        for _ in range(int(whole) - 1):
            value = value * base
        return value

    return function.with_body(structural_map(function.body, (ir.Call, change)))


@lru_cache(maxsize=64)
def host_function(program: str) -> Run:
    """The same function on this machine: float inputs and constants to the output, flat."""
    function = scheduled(program)
    shapes = [tuple(int(n) for n in parameter.ty.shape) for parameter in function.params]
    plain = float_math.expanded(lower(function).without_attr("target"))
    compiled = tvm.compile(tvm.IRModule({"main": plain}), target="llvm")["main"]

    def run(inputs: Sequence[np.ndarray], constants: Sequence[np.ndarray]) -> np.ndarray:
        arrays = [
            tvm.runtime.tensor(np.ascontiguousarray(array.reshape(shape)))
            for array, shape in zip((*inputs, *constants), shapes[:-1], strict=True)
        ]
        arrays.append(tvm.runtime.tensor(np.zeros(shapes[-1], np.int8)))
        compiled(*arrays)
        return np.asarray(arrays[-1].numpy()).ravel()

    return run
