# SPDX-License-Identifier: Apache-2.0
"""Functions of single elements. Whatever the model writes between dequantize and quantize of one
tensor is computed for its 256 integers, and becomes one Lookup:

    table[q] = clamp(round(f(s_x (q - z_x)) / s_y) + z_y)   half to even

Every step is rounded to float32, as the model's own arithmetic is; so the table holds what the
model's runtime computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.importer import Quantization, Walk
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined, Origin
from tinytailor.compiler.frontend.rules.functions import Unary
from tinytailor.compiler.frontend.values import Activation, Constant, Pointwise, Unknown, Value
from tinytailor.compiler.ir import Node, Tensor
from tinytailor.compiler.ops import Lookup
from tinytailor.compiler.ops.traits.constants import INTEGERS

Function = Callable[..., Any]  # of float64 arrays


def of_activation(value: Activation, walk: Walk) -> Pointwise:
    """A dequantized tensor as a function of its own integers."""
    tensor = walk.tensors[value.tensor]
    steps = (INTEGERS - tensor.zero_point).astype(np.float32)
    return Pointwise(value.tensor, value.shape, value.order, steps * np.float32(tensor.scale))


def applied(value: Pointwise, function: Function) -> Pointwise:
    return replace(value, real=function(value.real.astype(np.float64)).astype(np.float32))


def unary(function: Unary) -> Callable[[Call, Walk], Value]:
    """The match of an operator with one input; ``function`` may read its attributes."""

    def match(call: Call, walk: Walk) -> Value:
        value = walk.argument(call.arguments[0])
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, Pointwise):
            activation = walk.activation(call.arguments[0])
            if not activation.real:
                raise Declined("it computes with integers that were not dequantized")
            value = of_activation(activation, walk)
        return applied(value, lambda real: function(real, call))

    return match


def binary(call: Call, walk: Walk, function: Function) -> Value | None:
    """Two functions of one tensor, or one and a number; None where the arguments are others."""
    values = [walk.argument(argument) for argument in call.arguments[:2]]
    constants = [value for value in values if isinstance(value, Constant)]
    if len(constants) == 2 and function is np.multiply:
        for number, other in (constants, constants[::-1]):
            if number.array.size == 1 and other.scale is not None:
                return other.times(float(number.real.reshape(())))
    if all(isinstance(value, Constant) for value in values):
        a, b = (value.real for value in values if isinstance(value, Constant))
        return Constant(np.asarray(function(a, b), np.float32))
    placed, operands = None, []
    for value in values:
        if isinstance(value, Constant) and value.array.size == 1:
            operands.append(value.real.reshape(())[()])
            continue
        if isinstance(value, Activation) and value.real:
            value = of_activation(value, walk)
        if not isinstance(value, Pointwise):
            return None
        if placed is not None and not same_place(placed, value):
            return None
        placed = placed or value
        operands.append(value.real.astype(np.float64))
    if placed is None or placed.shape != call.shape:
        return None
    return replace(placed, real=np.asarray(function(*operands)).astype(np.float32))


def binary_only(function: Function, what: str) -> Callable[[Call, Walk], Value]:
    """The match of an operator with two inputs that has no other form."""

    def match(call: Call, walk: Walk) -> Value:
        result = binary(call, walk, function)
        if result is not None:
            return result
        if any(isinstance(walk.argument(a), Unknown) for a in call.arguments[:2]):
            return Unknown(call.shape)
        raise Declined(f"{what} of two tensors; expected one quantized tensor and a number")

    return match


def same_place(a: Pointwise, b: Pointwise) -> bool:
    return (a.tensor, a.shape) == (b.tensor, b.shape) and np.array_equal(a.order, b.order)


def finish(
    walk: Walk, value: Pointwise, quantization: Quantization, offset: int, origin: Origin
) -> Activation:
    """The Lookup node of ``value``, quantized."""
    name = walk.new_name(value.origin or origin)
    scale, zero_point = quantization
    if np.any(np.isnan(value.real)):
        raise Declined("its result is not a number for some inputs", value.origin)
    constants = {"table": table(value.real, scale, zero_point)}
    source = walk.tensors[value.tensor]
    walk.tensors[name] = Tensor(name, source.shape, "int8", scale, zero_point)
    walk.nodes.append(Node(name, Lookup(), (source.name,), name, constants))
    if source.name in walk.placeholders:
        walk.placeholders.add(name)
    return Activation(name, value.shape, value.order, False, offset)


def whole_range(value: Pointwise) -> Quantization:
    """The finest scale and the zero point that hold 0 and all of the 256 results."""
    if not np.all(np.isfinite(value.real)):
        raise Declined("its result is not finite for some inputs", value.origin)
    low, high = min(0.0, float(value.real.min())), max(0.0, float(value.real.max()))
    scale = float(np.float32((high - low) / 255)) or 1.0
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def table(real: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    steps = np.rint(real / np.float32(scale)) + zero_point
    return np.clip(steps, -128, 127).astype(np.int8)
