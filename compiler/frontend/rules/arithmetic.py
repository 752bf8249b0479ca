# SPDX-License-Identifier: Apache-2.0
"""Sums, differences, products and quotients: of two tensors, with a constant, or inside the layer
before them, as its bias and its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.onnx.arguments import numbers
from tinytailor.compiler.frontend.relax_calls import Call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.rules.broadcasting import affine, affine_function, aligned
from tinytailor.compiler.frontend.rules.lookup import Function
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.ops import Add, AddN, Mul, Operator
from tinytailor.compiler.ops.add_n import MOST


def add(call: Call, builder: GraphBuilder) -> Value:
    """Two activations, a bias, or a function of single elements."""
    function = np.add if is_pointwise(call, builder) else None
    if (result := known(call, builder, function)) is not None:
        return result
    a, b = (builder.argument(argument) for argument in call.arguments)
    for value, other in ((a, b), (b, a)):
        if isinstance(other, Constant):
            return plus(builder, call.arguments[0 if value is a else 1], other)
    return sum_of(call, builder)


def subtract(call: Call, builder: GraphBuilder) -> Value:
    if (result := known(call, builder, np.subtract)) is not None:
        return result
    a, b = (builder.argument(argument) for argument in call.arguments)
    if isinstance(b, Constant):
        return plus(builder, call.arguments[0], Constant(-b.real))
    if isinstance(a, Constant):
        return plus(builder, call.arguments[1], a, sign=-1)
    return sum_of(call, builder, sign=-1)


def multiply(call: Call, builder: GraphBuilder) -> Value:
    """Of constants (importers write s_x * s_w for the scale of a bias), by a number, of tensors."""
    if (result := known(call, builder, np.multiply)) is not None:
        return result
    a, b = (builder.argument(argument) for argument in call.arguments)
    for value, other in ((a, b), (b, a)):
        if isinstance(other, Constant):
            return times(builder, call.arguments[0 if value is a else 1], other.real)
    return product_of(call, builder)


def divide(call: Call, builder: GraphBuilder) -> Value:
    """By constants: a tensor in the denominator has no integer form."""
    if (result := known(call, builder, np.divide)) is not None:
        return result
    denominator = builder.argument(call.arguments[1])
    if not isinstance(denominator, Constant):
        raise Declined("it divides by a tensor that the model computes, expected a constant")
    return times(builder, call.arguments[0], 1 / denominator.real)


def known(call: Call, builder: GraphBuilder, function: Function | None) -> Value | None:
    """What ``function`` makes of single elements where both arguments allow it, and Unknown where
    one of them is; None else."""
    result = function and pointwise.binary(call, builder, function)
    if result is not None:
        return result
    values = (builder.argument(argument) for argument in call.arguments)
    return Unknown(call.shape) if any(isinstance(v, Unknown) for v in values) else None


def plus(builder: GraphBuilder, argument: Any, constant: Constant, sign: int = 1) -> Expression:
    """sign * value + constant, in the operator before where that is possible."""
    value, gain = builder.argument(argument), np.array(float(sign))
    if isinstance(value, Expression):
        return biased(value if sign == 1 else scaled(value, gain), constant)
    return behind_no_layer(builder, argument, gain, constant.real)


def times(builder: GraphBuilder, argument: Any, gain: np.ndarray) -> Expression:
    value = builder.argument(argument)
    if isinstance(value, Expression):
        return scaled(value, gain)
    return behind_no_layer(builder, argument, gain, np.array(0.0))


def behind_no_layer(
    builder: GraphBuilder, argument: Any, gain: np.ndarray, constant: np.ndarray
) -> Expression:
    """gain * value + constant of what no layer computes."""
    value = builder.argument(argument)
    if isinstance(value, Pointwise):
        found = affine_function(builder, value, gain, constant)
        if found is not None:
            return found
    return affine(builder, activation(builder, argument), gain, constant)


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


def sum_of(call: Call, builder: GraphBuilder, sign: int = 1) -> Expression:
    """Of tensors; sums that nothing quantizes in between are one, with all their tensors."""
    left, right = (summands(builder, argument) for argument in call.arguments)
    terms = (*left, *((value, own * sign) for value, own in right))
    if len(terms) > MOST:
        raise Declined(f"a sum of {len(terms)} tensors; expected up to {MOST} before it is rounded")
    placed = aligned(builder, [value for value, _ in terms], call.shape)
    signs = [own for _, own in terms]

    def finish(fused: Fused) -> Finished:
        tensors, clamp = placed.tensors, (fused.low, fused.high)
        op: Operator
        if len(tensors) == 2:
            op = Add.from_scales(*tensors, fused.y, *clamp, signs[1])
        else:
            op = AddN.from_scales(tensors, signs, fused.y, *clamp)
        return op, tuple(tensor.name for tensor in tensors), {}

    return Expression(call.shape, placed.order, placed.device, finish, terms=terms)


def summands(builder: GraphBuilder, argument: Any) -> Sequence[tuple[Activation, int]]:
    """The tensors that an argument is the sum of: itself, or those of a sum before it."""
    value = builder.argument(argument)
    if isinstance(value, Expression) and value.terms:
        return value.terms
    return ((activation(builder, argument), 1),)


def product_of(call: Call, builder: GraphBuilder) -> Expression:
    a, b = (activation(builder, argument) for argument in call.arguments)
    if a.order.size < b.order.size:
        a, b = b, a
    placed = aligned(builder, (a, b), call.shape)

    def finish(fused: Fused) -> Finished:
        left, right = placed.tensors
        op = Mul.from_scales(left, right, fused.y, fused.low, fused.high)
        return op, (left.name, right.name), {}

    return Expression(call.shape, placed.order, placed.device, finish)


def is_pointwise(call: Call, builder: GraphBuilder) -> bool:
    """Whether an argument is a function of single elements already, or a number."""
    values = [builder.argument(argument) for argument in call.arguments[:2]]
    return any(
        isinstance(value, Pointwise) or (isinstance(value, Constant) and value.array.size == 1)
        for value in values
    )


def batch_normalization(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """One product and one sum per channel, which a layer before it takes in."""
    from tvm import relax

    if attributes.get("training_mode", 0):
        raise ValueError("it is in training mode; export the model for inference")
    names = ("scale", "bias", "mean", "variance")
    arrays = [np.asarray(numbers(inputs, i + 1, n), np.float64) for i, n in enumerate(names)]
    gamma, beta, mean, variance = arrays
    gain = gamma / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    along = (-1, *(1 for _ in shape_of(inputs[0])[2:]))
    pair = (array.astype(np.float32).reshape(along) for array in (gain, beta - gain * mean))
    factor, constant = (relax.const(array) for array in pair)
    return [relax.op.add(relax.op.multiply(inputs[0], factor), constant)]


def sum_of_all(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """ONNX Sum of any number of inputs, which ``sum_of`` puts together again."""
    from tvm import relax

    return [reduce(relax.op.add, inputs)]


RULES = Rules(
    calls={
        "relax.add": Rule(add),
        "relax.divide": Rule(divide),
        "relax.multiply": Rule(multiply),
        "relax.subtract": Rule(subtract),
    },
    onnx={
        "Add": Onnx(pointwise=True),
        "BatchNormalization": Onnx(batch_normalization, real_parameters=True),
        "Div": Onnx(pointwise=True),
        "Mul": Onnx(pointwise=True),
        "Sub": Onnx(pointwise=True),
        "Sum": Onnx(sum_of_all),
    },
    tflite={"ADD": Tflite(), "MUL": Tflite(), "SUB": Tflite()},
)
