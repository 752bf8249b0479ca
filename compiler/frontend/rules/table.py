# SPDX-License-Identifier: Apache-2.0
"""The table of Relax operators the walk understands, and the ones that cost nothing.

A match is ``f(call, walk) -> Value``; it raises ``Declined`` with a reason. Adding an operator is
one such function (in linear.py, elementwise.py or a new file) and one line in MATCHES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np

from tinytailor.compiler.frontend import float_calls
from tinytailor.compiler.frontend.importer import (
    Quantization,
    Walk,
    integer_bounds,
    same_quantization,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import (
    conv_transpose,
    deform_conv,
    elementwise,
    extremum,
    linear,
    moves,
    pointwise,
    pooling,
    reductions,
    selection,
    square_deform,
)
from tinytailor.compiler.frontend.rules.functions import FUNCTIONS
from tinytailor.compiler.frontend.values import (
    Activation,
    Constant,
    Expression,
    Float,
    FloatInput,
    Fused,
    Indices,
    Pointwise,
    Unknown,
    Value,
    reshaped,
    row_major,
    transposed,
)
from tinytailor.compiler.ir import Shape, Tensor

INTEGER_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def quantize(call: Call, walk: Walk) -> Value:
    """The end of an expression, the border of the graph, or nothing at all."""
    value = walk.argument(call.arguments[0])
    scale, zero_point = (walk.constant(item, "scale") for item in call.arguments[1:3])
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
        return finish(call, walk, value, quantization, offset)
    if isinstance(value, Float):
        return float_calls.finish(walk, value.index, value.origin, quantization, offset)
    if isinstance(value, Activation) and value.real and rescaled(walk, value, quantization):
        value = pointwise.of_activation(value, walk)
    if isinstance(value, Pointwise):
        return pointwise.finish(walk, value, quantization, offset, call.origin)
    if isinstance(value, Indices):
        raise Declined("it quantizes indices, which can only be an output of the model")
    return Activation(*border(call, walk, value, quantization), False, offset)


def rescaled(walk: Walk, value: Activation, quantization: Quantization) -> bool:
    tensor = walk.tensors[value.tensor]
    return not same_quantization((tensor.scale, tensor.zero_point), quantization)


def border(
    call: Call, walk: Walk, value: FloatInput | Activation | Unknown, quantization: Quantization
) -> tuple[str, Shape, np.ndarray]:
    """(tensor, shape, order) of what is quantized without an operator in between."""
    if isinstance(value, FloatInput):
        return walk.graph_input(value, *quantization), value.shape, value.order
    if isinstance(value, Unknown):
        name = walk.new_name(call.origin)
        walk.tensors[name] = Tensor(name, call.shape, "int8", *quantization)
        walk.placeholders.add(name)
        return name, call.shape, row_major(call.shape)
    if rescaled(walk, value, quantization):
        raise Declined("integers that were not dequantized are quantized again")
    return value.tensor, value.shape, value.order


def finish(
    call: Call, walk: Walk, value: Expression, quantization: Quantization, offset: int
) -> Activation:
    y = Tensor(walk.new_name(value.origin or call.origin), value.device, "int8", *quantization)
    low, high = integer_bounds(value.low, value.high, *quantization)
    return walk.emit(value, Fused(y, low, high, value.bias, value.gain), offset)


def quantized_constant(
    call: Call, value: Constant, scale: Constant, zero_point: Constant
) -> Constant:
    """Fake-quantized weights: the float constant becomes the integers it stands for."""
    if call.dtype not in (*INTEGER_LIMITS, "int32"):
        raise Declined(f"constants of type {call.dtype}, expected int8 or uint8")
    spread_scale, spread_zero = spread(call, value.shape, scale, zero_point)
    low, high = INTEGER_LIMITS.get(call.dtype, (-(2**31), 2**31 - 1))
    steps = np.rint(value.real.astype(np.float32) / spread_scale).astype(np.float64)
    if not np.all(np.isfinite(steps)):
        raise Declined("its constant or scale is not finite")
    return Constant(np.clip(steps + spread_zero, low, high).astype(np.int64))


def dequantize(call: Call, walk: Walk) -> Value:
    value = walk.argument(call.arguments[0])
    scale, zero_point = (walk.constant(item, "scale") for item in call.arguments[1:3])
    if isinstance(value, Constant):
        if value.array.dtype.kind not in "iu":
            raise Declined("it dequantizes floating-point numbers")
        return Constant(value.array, *spread(call, value.shape, scale, zero_point))
    if not isinstance(value, Activation):
        if isinstance(value, Unknown):
            return value
        raise Declined("it dequantizes a tensor that is not quantized")
    if scale.array.size != 1 or zero_point.array.size != 1 or not 0 < only(scale) < inf:
        raise Declined("activations need one positive scale for the whole tensor")
    expected = (only(scale), int(only(zero_point)) - value.offset)
    tensor = walk.tensors[value.tensor]
    if value.tensor in walk.unquantized:
        walk.unquantized.discard(value.tensor)
        tensor = replace(tensor, scale=expected[0], zero_point=expected[1])
        walk.tensors[value.tensor] = tensor
    if not same_quantization((tensor.scale, tensor.zero_point), expected):
        raise Declined("it dequantizes with another scale or zero point than it was quantized with")
    return replace(value, real=True)


def only(constant: Constant) -> float:
    """The number of a constant that holds one."""
    return float(constant.real.reshape(-1)[0])


def spread(
    call: Call, shape: tuple[int, ...], scale: Constant, zero_point: Constant
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point in the shape of the numbers they belong to."""
    axis = int(call.attributes["axis"])
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


def reshape(call: Call, walk: Walk) -> Value:
    """Also squeeze, expand_dims and flatten: only the resulting shape matters."""
    value = walk.argument(call.arguments[0])
    if isinstance(value, Unknown):
        return Unknown(call.shape)
    if isinstance(value, Constant):
        return value.each(lambda array: array.reshape(call.shape))
    assert not isinstance(value, Float)  # the walk asks float_calls.py first
    return reshaped(value, call.shape)


def transpose(call: Call, walk: Walk) -> Value:
    value = walk.argument(call.arguments[0])
    rank = len(value.shape)
    axes = tuple(int(axis) % rank for axis in call.attributes["axes"] or reversed(range(rank)))
    if isinstance(value, Unknown):
        return Unknown(call.shape)
    if isinstance(value, Constant):
        return value.each(lambda array: array.transpose(axes))
    assert not isinstance(value, Float)
    return transposed(value, axes)


def alias(call: Call, walk: Walk) -> Value:
    """astype round an integer pooling: the numbers stay what they are."""
    return walk.argument(call.arguments[0])


MATCHES: dict[str, Callable[[Call, Walk], Value]] = {
    "relax.quantize": quantize,
    "relax.dequantize": dequantize,
    "relax.reshape": reshape,
    "relax.squeeze": reshape,
    "relax.expand_dims": reshape,
    "relax.permute_dims": transpose,
    "relax.astype": alias,
    "relax.nn.conv2d": linear.convolution,
    "relax.nn.conv1d": linear.convolution,
    "relax.nn.conv2d_transpose": conv_transpose.transposed_convolution,
    "relax.nn.conv1d_transpose": conv_transpose.transposed_convolution,
    "relax.matmul": linear.dense,
    "relax.add": elementwise.add,
    "relax.subtract": elementwise.subtract,
    "relax.multiply": elementwise.multiply,
    "relax.divide": elementwise.divide,
    **{name: pointwise.unary(function) for name, function in FUNCTIONS.items()},
    "relax.power": pointwise.binary_only(np.power, "a power"),
    "relax.greater": pointwise.binary_only(np.greater, "a comparison"),
    "relax.less": pointwise.binary_only(np.less, "a comparison"),
    "relax.maximum": extremum.maximum,
    "relax.minimum": extremum.minimum,
    extremum.PRELU: extremum.prelu,
    "relax.nn.relu": elementwise.clamp,
    "relax.nn.relu6": elementwise.clamp,
    "relax.clip": elementwise.clamp,
    "relax.concat": moves.concat,
    "relax.nn.pad": moves.pad,
    "relax.argmax": reductions.arg_max,
    "relax.argmin": reductions.arg_min,
    "relax.mean": reductions.mean,
    "relax.sum": reductions.total,
    "relax.min": reductions.minimum,
    "relax.max": reductions.maximum,
    "relax.nn.avg_pool1d": pooling.average_pool,
    "relax.nn.avg_pool2d": pooling.average_pool,
    "relax.nn.max_pool1d": pooling.max_pool,
    "relax.nn.max_pool2d": pooling.max_pool,
    "relax.nn.softmax": elementwise.softmax,
    deform_conv.NAME: deform_conv.deform_conv,
    selection.NAME: selection.take,
    square_deform.NAME: square_deform.square_deform_dw,
}
