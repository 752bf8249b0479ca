# SPDX-License-Identifier: Apache-2.0
"""The borders between real numbers and integers: where an expression becomes a node, an input gets
its scale, and constants become the integers of a layer.
"""

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
    Float,
    FloatInput,
    Indices,
    Pointwise,
    Samples,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.layout import row_major
from tinytailor.compiler.frontend.onnx.narrow import BITS
from tinytailor.compiler.frontend.quantization import (
    Quantization,
    quantization_of,
    same_quantization,
)
from tinytailor.compiler.frontend.relax_calls import BORDERS, Call, own_call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import float_calls, lookup
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.ir import Shape, Tensor

INTEGER_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def quantize(call: Call, builder: GraphBuilder) -> Value:
    """The end of an expression, the border of the graph, or nothing at all."""
    value = builder.argument(call.arguments[0])
    scale, zero_point = (builder.constant(item, "scale") for item in call.arguments[1:3])
    if isinstance(value, Constant):
        return quantized_constant(call, value, scale, zero_point)
    if call.dtype not in INTEGER_LIMITS:
        raise Declined(f"activations of type {call.dtype}, expected int8 or uint8")
    if scale.array.size != 1 or zero_point.array.size != 1 or not 0 < only(scale) < inf:
        raise Declined("activations need one positive scale for the whole tensor")
    offset = 128 if call.dtype == "uint8" else 0
    quantization = (only(scale), int(only(zero_point)) - offset)
    if not -128 <= quantization[1] <= 127:
        raise Declined(f"zero point {quantization[1] + offset} does not fit {call.dtype}")
    if isinstance(value, Expression):
        return builder.quantized(value, quantization, offset, value.origin or call.origin)
    if isinstance(value, Float):
        return float_calls.finish(builder, value.index, value.origin, quantization, offset)
    if isinstance(value, Activation) and value.real and rescaled(builder, value, quantization):
        value = lookup.of_activation(builder, value)
    if isinstance(value, Pointwise):
        return lookup.looked_up(builder, value, quantization, offset, call.origin)
    if isinstance(value, Indices):
        raise Declined("it quantizes indices, which can only be an output of the model")
    assert not isinstance(value, Samples)  # borders.py asks who reads them
    return Activation(*border(call, builder, value, quantization), False, offset)


def rescaled(builder: GraphBuilder, value: Activation, quantization: Quantization) -> bool:
    return not same_quantization(quantization_of(builder.tensors[value.tensor]), quantization)


def border(
    call: Call,
    builder: GraphBuilder,
    value: FloatInput | Activation | Unknown,
    quantization: Quantization,
) -> tuple[str, Shape, np.ndarray]:
    """(tensor, shape, order) of what is quantized without an operator in between."""
    if isinstance(value, FloatInput):
        return builder.graph_input(value, *quantization), value.shape, value.order
    if isinstance(value, Unknown):
        name = builder.new_name(call.origin)
        builder.tensors[name] = Tensor(name, call.shape, "int8", *quantization)
        builder.placeholders.add(name)
        return name, call.shape, row_major(call.shape)
    if rescaled(builder, value, quantization):
        raise Declined("integers that were not dequantized are quantized again")
    return value.tensor, value.shape, value.order


def quantized_constant(
    call: Call, value: Constant, scale: Constant, zero_point: Constant
) -> Constant:
    """Fake-quantized weights: the float constant becomes the integers it stands for."""
    if call.dtype not in (*INTEGER_LIMITS, "int32"):
        raise Declined(f"constants of type {call.dtype}, expected int8 or uint8")
    axis = int(call.attributes["axis"])
    spread_scale, spread_zero = spread(axis, value.shape, scale, zero_point)
    low, high = INTEGER_LIMITS.get(call.dtype, (-(2**31), 2**31 - 1))
    steps = np.rint(value.real.astype(np.float32) / spread_scale).astype(np.float64)
    if not np.all(np.isfinite(steps)):
        raise Declined("its constant or scale is not finite")
    return Constant(np.clip(steps + spread_zero, low, high).astype(np.int64))


def dequantize(call: Call, builder: GraphBuilder) -> Value:
    value = builder.argument(call.arguments[0])
    scale, zero_point = (builder.constant(item, "scale") for item in call.arguments[1:3])
    if isinstance(value, Constant):
        if value.array.dtype.kind not in "iu":
            raise Declined("it dequantizes floating-point numbers")
        axis = int(call.attributes["axis"])
        return Constant(value.array, *spread(axis, value.shape, scale, zero_point))
    if not isinstance(value, Activation):
        if isinstance(value, Unknown):
            return value
        raise Declined("it dequantizes a tensor that is not quantized")
    if scale.array.size != 1 or zero_point.array.size != 1 or not 0 < only(scale) < inf:
        raise Declined("activations need one positive scale for the whole tensor")
    expected = (only(scale), int(only(zero_point)) - value.offset)
    tensor = builder.tensors[value.tensor]
    if value.tensor in builder.unquantized:
        builder.unquantized.discard(value.tensor)
        tensor = replace(tensor, scale=expected[0], zero_point=expected[1])
        builder.tensors[value.tensor] = tensor
    if not same_quantization(quantization_of(tensor), expected):
        raise Declined("it dequantizes with another scale or zero point than it was quantized with")
    return replace(value, real=True)


def only(constant: Constant) -> float:
    """The number of a constant that holds one."""
    return float(constant.real.reshape(-1)[0])


def spread(
    axis: int, shape: Shape, scale: Constant, zero_point: Constant
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point in the shape of the numbers they belong to."""
    spread_out = []
    for item in (scale.real.astype(np.float32), zero_point.array.astype(np.int64)):
        if item.size == 1:
            spread_out.append(np.full(shape, item.reshape(-1)[0]))
            continue
        if not -len(shape) <= axis < len(shape) or item.shape != (shape[axis],):
            raise Declined(f"scale of shape {item.shape} does not fit axis {axis} of {shape}")
        along = [1] * len(shape)
        along[axis] = -1
        spread_out.append(np.broadcast_to(item.reshape(along), shape))
    return spread_out[0], spread_out[1]


def dequantize_narrow(call: Call, builder: GraphBuilder) -> Constant:
    """Constants of fewer bits than TVM knows: their integers, scale, zero point, (axis, bits)."""
    roles = ("weight", "scale", "zero point", "settings")
    arguments = zip(call.arguments, roles, strict=True)
    value, scale, zero_point, settings = (builder.constant(*argument) for argument in arguments)
    axis, bits = map(int, settings.array)
    return Constant(value.array, *spread(axis, value.shape, scale, zero_point), bits)


def dequantize_linear(inputs: Sequence[Any], attributes: Attributes) -> list[Any] | None:
    """TVM's, unless onnx/narrow.py noted how many bits the constants had."""
    from tvm import relax

    if BITS not in attributes:
        return None
    if attributes.get("block_size", 0):
        raise ValueError("its weights have a scale for each block; expected one for each channel")
    x, scale, *given = inputs
    zero_point = given[0] if given else None
    if zero_point is None:
        zero_point = relax.const(np.zeros(shape_of(scale), str(x.ty.dtype)))
    settings = np.array([attributes.get("axis", 1), attributes[BITS]], np.int64)
    result = relax.TensorType(shape=shape_of(x), dtype="float32")
    return [own_call(NARROW, [x, scale, zero_point, relax.const(settings)], result)]


NARROW = "tinytailor.dequantize_narrow"
QUANTIZE, DEQUANTIZE = BORDERS
RULES = Rules(
    calls={
        QUANTIZE: Rule(quantize),
        DEQUANTIZE: Rule(dequantize),
        NARROW: Rule(dequantize_narrow),
    },
    onnx={"QuantizeLinear": Onnx(), "DequantizeLinear": Onnx(dequantize_linear)},
    tflite={"QUANTIZE": Tflite(), "DEQUANTIZE": Tflite()},
)
