# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of tensors and constants, activation functions and softmax."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.importer import TRANSPARENT, Walk, integer_bounds
from tinytailor.compiler.frontend.relax_calls import Call, Ref
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.rules.broadcasting import affine, aligned
from tinytailor.compiler.frontend.values import (
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.ops import Add, Mul, Softmax
from tinytailor.compiler.ops.softmax import exponentials, output_levels


def add(call: Call, walk: Walk) -> Value:
    """Two activations, a bias, or a function of single elements."""
    if is_pointwise(call, walk) and (result := pointwise.binary(call, walk, np.add)) is not None:
        return result
    a, b = (walk.argument(argument) for argument in call.arguments)
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Unknown(call.shape)
    for value, other in ((a, b), (b, a)):
        if isinstance(other, Constant):
            return plus(walk, call.arguments[0 if value is a else 1], other)
    return sum_of(call, walk)


def subtract(call: Call, walk: Walk) -> Value:
    if (result := pointwise.binary(call, walk, np.subtract)) is not None:
        return result
    a, b = (walk.argument(argument) for argument in call.arguments)
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Unknown(call.shape)
    if isinstance(b, Constant):
        return plus(walk, call.arguments[0], Constant(-b.real))
    if isinstance(a, Constant):
        return plus(walk, call.arguments[1], a, sign=-1)
    return sum_of(call, walk, sign=-1)


def multiply(call: Call, walk: Walk) -> Value:
    """Of constants (importers write s_x * s_w for the scale of a bias), by a number, of tensors."""
    if (result := pointwise.binary(call, walk, np.multiply)) is not None:
        return result
    a, b = (walk.argument(argument) for argument in call.arguments)
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Unknown(call.shape)
    for value, other in ((a, b), (b, a)):
        if isinstance(other, Constant):
            return times(walk, call.arguments[0 if value is a else 1], other.real)
    return product_of(call, walk)


def divide(call: Call, walk: Walk) -> Value:
    """By constants: a tensor in the denominator has no integer form."""
    if (result := pointwise.binary(call, walk, np.divide)) is not None:
        return result
    a, b = (walk.argument(argument) for argument in call.arguments)
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Unknown(call.shape)
    if not isinstance(b, Constant):
        raise Declined("it divides by a tensor that the model computes, expected a constant")
    return times(walk, call.arguments[0], 1 / b.real)


def plus(walk: Walk, argument: Any, constant: Constant, sign: int = 1) -> Expression:
    """sign * value + constant, in the operator before where that is possible."""
    value, gain = walk.argument(argument), np.array(float(sign))
    if isinstance(value, Expression):
        return biased(value if sign == 1 else scaled(value, gain), constant)
    return affine(walk, walk.activation(argument), gain, constant.real)


def times(walk: Walk, argument: Any, gain: np.ndarray) -> Expression:
    value = walk.argument(argument)
    if isinstance(value, Expression):
        return scaled(value, gain)
    return affine(walk, walk.activation(argument), gain, np.array(0.0))


def biased(value: Expression, constant: Constant) -> Expression:
    if value.affine is not None:
        return value.affine(np.array(1.0), constant.real)
    if value.bias_axis is None:
        raise Declined("it adds a constant where no layer can take it as its bias")
    bias = per_channel(value, constant.real, "bias")
    if value.bias is None:
        return replace(value, bias=constant)
    return replace(value, bias=Constant(value.bias.real.reshape(-1) + bias))


def scaled(value: Expression, gain: np.ndarray) -> Expression:
    """Each channel of a layer times a number: its weights and its bias are multiplied."""
    if value.affine is not None:
        return value.affine(gain, np.array(0.0))
    if value.bias_axis is None or not value.takes_gain:
        raise Declined("it multiplies what no layer can take in; quantize its input")
    each = per_channel(value, gain, "factor")
    if not np.all(np.isfinite(each)):
        raise Declined("its factors are not finite")
    bias = value.bias and Constant(value.bias.real.reshape(-1) * each)
    return replace(value, bias=bias, gain=each if value.gain is None else value.gain * each)


def per_channel(value: Expression, constant: np.ndarray, role: str) -> np.ndarray:
    """``constant`` as one number for each channel, however the model broadcasts it."""
    axis, size = value.bias_axis, value.shape[value.bias_axis or 0]
    aligned_shape = (1,) * (len(value.shape) - constant.ndim) + constant.shape
    expected = tuple(size if a == axis else 1 for a in range(len(value.shape)))
    if aligned_shape != expected and constant.size != 1:
        raise Declined(f"a {role} of shape {constant.shape}, expected one number per channel")
    return np.broadcast_to(constant.reshape(-1), (size,))


def sum_of(call: Call, walk: Walk, sign: int = 1) -> Expression:
    a, b = (walk.activation(argument) for argument in call.arguments)
    pair = aligned(walk, a, b, call.shape)

    def finish(fused: Fused) -> Finished:
        op = Add.from_scales(pair.left, pair.right, fused.y, fused.low, fused.high, sign)
        return op, (pair.left.name, pair.right.name), {}

    return Expression(call.shape, pair.order, pair.device, finish)


def product_of(call: Call, walk: Walk) -> Expression:
    a, b = (walk.activation(argument) for argument in call.arguments)
    if a.order.size < b.order.size:
        a, b = b, a
    pair = aligned(walk, a, b, call.shape)

    def finish(fused: Fused) -> Finished:
        op = Mul.from_scales(pair.left, pair.right, fused.y, fused.low, fused.high)
        return op, (pair.left.name, pair.right.name), {}

    return Expression(call.shape, pair.order, pair.device, finish)


def is_pointwise(call: Call, walk: Walk) -> bool:
    """Whether an argument is a function of single elements already, or a number."""
    values = [walk.argument(argument) for argument in call.arguments[:2]]
    return any(
        isinstance(value, Pointwise) or (isinstance(value, Constant) and value.array.size == 1)
        for value in values
    )


def clamp(call: Call, walk: Walk) -> Value:
    """Relu, Relu6, Clip: part of the operator before, as bounds of its integers."""
    return clamped(call, walk, call.arguments[0], *clamp_bounds(call))


def clamped(call: Call, walk: Walk, argument: Any, low: float, high: float) -> Value:
    value = walk.argument(argument)
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Expression):
        return value.clamped(low, high)
    if isinstance(value, Pointwise):
        return pointwise.applied(value, lambda real: np.clip(real, low, high))
    activation = walk.activation(argument)
    tensor = walk.tensors[activation.tensor]
    if activation.real:
        bounds = integer_bounds(low, high, tensor.scale, tensor.zero_point)
    else:
        limits = (low - activation.offset, high - activation.offset)
        bounds = (int(max(limits[0], -128)), int(min(limits[1], 127)))
    try:
        tighten(argument, walk, activation, bounds)
    except Declined:
        if not activation.real:
            raise
        real = pointwise.of_activation(activation, walk)
        return pointwise.applied(real, lambda real: np.clip(real, low, high))
    return activation


def clamp_bounds(call: Call) -> tuple[float, float]:
    if call.operator != "relax.clip":
        return 0.0, 6.0 if call.operator.endswith("relu6") else inf
    low, high = (float(bound) for bound in call.arguments[1:3])
    if not low <= high:
        raise Declined(f"the bounds {low:g} and {high:g} are no interval")
    return low, high


def tighten(argument: Any, walk: Walk, value: Activation, bounds: tuple[int, int]) -> None:
    """Narrow the clamp of the node that wrote ``value``, if nothing else reads it."""
    low, high = bounds
    if (low, high) == (-128, 127):
        return
    place = next((i for i, node in enumerate(walk.nodes) if node.output == value.tensor), None)
    if place is None or not read_once(argument, walk):
        raise Declined("it follows a tensor that others read unclamped; clamp before quantizing")
    node = walk.nodes[place]
    walk.nodes[place] = replace(node, op=narrowed(node.op, low, high))


def narrowed(op: Any, low: int, high: int) -> Any:
    """The operator with its clamp, its own or its requantization's, inside low..high."""
    if hasattr(op, "requant"):
        return replace(op, requant=narrowed(op.requant, low, high))
    if not hasattr(op, "low"):
        raise Declined("the operator before it has no clamp of its own")
    return replace(op, low=min(max(op.low, low), high), high=min(max(op.high, low), high))


def read_once(argument: Any, walk: Walk) -> bool:
    """Whether ``argument`` has one reader, back to where it was quantized."""
    while isinstance(argument, Ref) and argument.index >= 0:
        producer = walk.model.listing.calls[argument.index]
        if walk.uses[argument.index] != 1:
            return False
        if producer.operator not in (*TRANSPARENT, "relax.astype", "relax.reshape"):
            return True
        if producer.operator == "relax.quantize":
            return True
        argument = producer.arguments[0]
    return False


def softmax(call: Call, walk: Walk) -> Expression:
    x = walk.activation(call.arguments[0])
    axis = int(call.attributes["axis"]) % len(x.shape)
    classes = x.shape[axis]
    if classes != x.order.size:
        raise Declined(f"softmax of {x.shape} over axis {axis}: expected one row of classes")
    source = walk.as_shape(x, (1, classes))

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after softmax")
        levels, fraction = output_levels(fused.y.scale)
        table = exponentials(source.scale, classes, fraction)
        op = Softmax(levels, fraction, fused.y.zero_point)
        return op, (source.name,), {"table": table}

    return Expression(call.shape, x.order, (1, classes), finish, known=(1 / 256, -128))
