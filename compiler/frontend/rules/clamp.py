# SPDX-License-Identifier: Apache-2.0
"""Relu, Relu6, Clip: bounds of the integers that the operator before writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.onnx.arguments import numbers
from tinytailor.compiler.frontend.quantization import integer_bounds, quantization_of
from tinytailor.compiler.frontend.relax_calls import BORDERS, Call, Ref
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.ops.base import Operator


def clamp(call: Call, builder: GraphBuilder) -> Value:
    """Relu, Relu6, Clip: part of the operator before, as bounds of its integers."""
    return clamped(call, builder, call.arguments[0], *clamp_bounds(call))


def clamped(call: Call, builder: GraphBuilder, argument: Any, low: float, high: float) -> Value:
    value = builder.argument(argument)
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Constant):
        return bounded(value, low, high)
    if isinstance(value, Expression):
        return value.clamped(low, high)
    if isinstance(value, Pointwise):
        return lookup.applied(value, lambda real: np.clip(real, low, high))
    x = activation(builder, argument)
    if x.tensor in builder.placeholders:
        return x
    if x.real:
        bounds = integer_bounds(low, high, *quantization_of(builder.tensors[x.tensor]))
    else:
        bounds = (int(max(low - x.offset, -128)), int(min(high - x.offset, 127)))
    try:
        tighten(argument, builder, x, bounds)
    except Declined:
        if not x.real:  # as brevitas writes activations of fewer than 8 bits
            return lookup.clipped(builder, x, *bounds, call.origin)
        real = lookup.of_activation(builder, x)
        return lookup.applied(real, lambda real: np.clip(real, low, high))
    return x


def bounded(value: Constant, low: float, high: float) -> Constant:
    """Of weights in a narrow range, before or behind DequantizeLinear."""
    if value.scale is None:
        return Constant(np.clip(value.array, low, high).astype(value.array.dtype), bits=value.bits)
    return Constant(np.clip(value.real, low, high).astype(np.float32))


def clamp_bounds(call: Call) -> tuple[float, float]:
    if call.operator != "relax.clip":
        return 0.0, inf
    low, high = (float(bound) for bound in call.arguments[1:3])
    if not low <= high:
        raise Declined(f"the bounds {low:g} and {high:g} are no interval")
    return low, high


def tighten(
    argument: Any, builder: GraphBuilder, value: Activation, bounds: tuple[int, int]
) -> None:
    """Narrow the clamp of the node that wrote ``value``, if nothing else reads it."""
    low, high = bounds
    if (low, high) == (-128, 127):
        return
    place = next((i for i, node in enumerate(builder.nodes) if node.output == value.tensor), None)
    if place is None or not read_once(argument, builder):
        raise Declined("it follows a tensor that others read unclamped; clamp before quantizing")
    node = builder.nodes[place]
    builder.nodes[place] = replace(node, op=narrowed(node.op, low, high))


def narrowed(op: Operator, low: int, high: int) -> Operator:
    """The operator with its clamp inside low..high."""
    clamp = op.clamp()
    closer = None if clamp is None else clamp.clipped(low, high)
    if closer is None:
        raise Declined("the operator before it has no clamp of its own")
    return op.with_clamp(closer)


def read_once(argument: Any, builder: GraphBuilder) -> bool:
    """Whether ``argument`` has one reader, back to where it was quantized."""
    while isinstance(argument, Ref) and argument.index >= 0:
        producer = builder.model.listing.calls[argument.index]
        if builder.uses[argument.index] != 1:
            return False
        if producer.operator not in (*BORDERS, "relax.astype", "relax.reshape"):
            return True
        if producer.operator == "relax.quantize":
            return True
        argument = producer.arguments[0]
    return False


def clip(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Bounds as inputs (opset 11 on) or attributes; a missing one is infinite."""
    from tvm import relax

    bounds = []
    for index, (name, missing) in enumerate((("min", float("-inf")), ("max", float("inf")))):
        found = numbers(inputs, 1 + index, name)
        bounds.append(float(attributes.get(name, missing) if found is None else found[0]))
    return [relax.op.clip(inputs[0], *bounds)]


RULES = Rules(
    calls={"relax.clip": Rule(clamp), "relax.nn.relu": Rule(clamp)},
    onnx={"Clip": Onnx(clip, pointwise=True), "Relu": Onnx(pointwise=True)},
    tflite={"RELU": Tflite(), "RELU6": Tflite(), "RELU_N1_TO_1": Tflite()},
)
