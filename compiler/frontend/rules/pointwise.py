# SPDX-License-Identifier: Apache-2.0
"""Rules of functions of single elements (lookup.py): of one tensor, and of one tensor twice or with
a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.operands import dequantized

Unary = Callable[[np.ndarray, Call], np.ndarray]  # of float64


def unary(function: Unary) -> Callable[[Call, GraphBuilder], Value]:
    """The rule of a call with one input; ``function`` may read its attributes."""

    def rule(call: Call, builder: GraphBuilder) -> Value:
        value = builder.argument(call.arguments[0])
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, Pointwise):
            x = dequantized(builder, call.arguments[0], "computes with")
            value = lookup.of_activation(builder, x)
        return lookup.applied(value, lambda real: function(real, call))

    return rule


def binary(call: Call, builder: GraphBuilder, function: lookup.Function) -> Value | None:
    """``joint`` of two; quantized constants times a number stay quantized."""
    values = [builder.argument(argument) for argument in call.arguments[:2]]
    constants = [value for value in values if isinstance(value, Constant)]
    if len(constants) == 2 and function is np.multiply:
        for number, other in (constants, constants[::-1]):
            if number.array.size == 1 and other.scale is not None:
                return other.times(float(number.real.reshape(())))
    return joint(call, builder, function, 2)


def joint(call: Call, builder: GraphBuilder, function: lookup.Function, count: int) -> Value | None:
    """``function`` of the first ``count`` arguments, which are numbers or functions of one tensor,
    directly or through other tensors; None where they are others."""
    values = [builder.argument(argument) for argument in call.arguments[:count]]
    if all(isinstance(value, Constant) for value in values):
        numbers = (value.real for value in values if isinstance(value, Constant))
        return Constant(np.asarray(function(*numbers), np.float32))
    functions = []  # of each value that is no number: by tensor, what its elements make of it
    placed = None
    for value in values:
        if isinstance(value, Constant) and value.array.size == 1:
            continue
        if isinstance(value, Activation) and value.real:
            value = lookup.of_activation(builder, value)
        if not isinstance(value, Pointwise) or not same_place(placed or value, value):
            return None
        functions.append(traced(builder, value))
        placed = placed or value
    shared = [tensor for tensor in functions[0] if all(tensor in each for each in functions)]
    if placed is None or placed.shape != call.shape or not shared:
        return None
    reals = iter(functions)
    operands = [
        value.real.reshape(())[()]
        if isinstance(value, Constant)
        else next(reals)[shared[0]].astype(np.float64)
        for value in values
    ]
    real = np.asarray(function(*operands)).astype(np.float32)
    if len(functions) > 1 and np.isnan(real).any():  # 0 / 0: left to who computes with tensors
        return None
    return replace(placed, tensor=shared[0], real=real)


def traced(builder: GraphBuilder, value: Pointwise) -> dict[str, np.ndarray]:
    """``value`` as a function of its tensor, and of those before that are made of tables only."""
    found = {value.tensor: value.real}
    makers = {node.output: node for node in builder.nodes}
    while (node := makers.get(value.tensor)) is not None:
        table = node.op.table(node.constants)
        if table is None or value.tensor in builder.placeholders:
            break
        real = value.real[table.astype(np.int64) + 128]
        value = replace(value, tensor=node.inputs[0], real=real)
        found[value.tensor] = real
    return found


def joint_only(
    function: lookup.Function, what: str, count: int = 2
) -> Callable[[Call, GraphBuilder], Value]:
    """The rule of a call with ``count`` inputs that has no other form."""

    def rule(call: Call, builder: GraphBuilder) -> Value:
        result = joint(call, builder, function, count)
        if result is not None:
            return result
        if any(isinstance(builder.argument(a), Unknown) for a in call.arguments[:count]):
            return Unknown(call.shape)
        raise Declined(f"{what} of several tensors; expected one quantized tensor and numbers")

    return rule


def same_place(a: Pointwise, b: Pointwise) -> bool:
    """Whether both have their elements where the other one has them."""
    return a.shape == b.shape and np.array_equal(a.order, b.order)
