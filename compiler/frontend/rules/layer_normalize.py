# SPDX-License-Identifier: Apache-2.0
"""Normalization over some axes of a tensor, which come last on the device: of layers, and of
instances, whose channels come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.onnx.arguments import numbers
from tinytailor.compiler.frontend.relax_calls import Call, own_call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.broadcasting import reduced
from tinytailor.compiler.frontend.rules.operands import dequantized
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rows import with_last
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules
from tinytailor.compiler.ops import LayerNormalize

NAME = "tinytailor.layer_normalize"


def layer_normalize(call: Call, builder: GraphBuilder) -> Value:
    if isinstance(builder.argument(call.arguments[0]), Unknown):
        return Unknown(call.shape)
    x = dequantized(builder, call.arguments[0], "normalizes")
    gain, bias, axes, epsilon = (builder.constant(item, "parameter") for item in call.arguments[1:])
    if not np.all(np.isfinite(gain.real)) or not np.all(np.isfinite(bias.real)):
        raise Declined("its scale or bias is not finite")
    return normalized(builder, x, gain.real, bias.real, axes.array.tolist(), float(epsilon.real))


def normalized(
    builder: GraphBuilder,
    x: Activation,
    gain: np.ndarray,
    bias: np.ndarray,
    gone: Sequence[int],
    epsilon: float,
) -> Expression:
    """Over the axes ``gone``; both arrays broadcast to the shape of ``x``."""
    if np.broadcast_shapes(x.shape, gain.shape, bias.shape) != x.shape:
        raise Declined("what follows it has another shape")
    x, axes = with_last(builder, x, gone)
    length = prod(x.shape[axis] for axis in gone)
    if length < 2:
        raise Declined("it normalizes single numbers")
    device = (1, x.order.size // length, length)
    source = as_shape(builder, x, device)
    placed = (np.broadcast_to(a, x.shape).transpose(axes).reshape(device) for a in (gain, bias))
    gains, biases = np.broadcast_arrays(*reduced(*placed))

    def finish(fused: Fused) -> Finished:
        op, constants = LayerNormalize.from_scales(
            source, gains, biases, epsilon, fused.y, fused.low, fused.high
        )
        return op, (source.name,), constants

    def again(more: np.ndarray, shift: np.ndarray) -> Expression:
        return normalized(builder, x, more * gain, more * bias + shift, gone, epsilon)

    return Expression(x.shape, x.order, device, finish, affine=again)


def converted(
    inputs: Sequence[Any], shape: Sequence[int], axes: Sequence[int], epsilon: float
) -> list[Any]:
    """The call; scale and bias, the second and the third input, get ``shape``."""
    from tvm import relax

    x = inputs[0]
    gain = np.asarray(numbers(inputs, 1, "scale"), np.float32).reshape(shape)
    given = numbers(inputs, 2, "bias") if len(inputs) > 2 else None
    bias = np.zeros_like(gain) if given is None else np.asarray(given, np.float32).reshape(shape)
    parameters = (gain, bias, np.array(axes, np.int64), np.float32(epsilon))
    return [own_call(NAME, [x, *(relax.const(item) for item in parameters)], x.ty)]


def of_layers(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Its mean and deviation, further outputs, are for training."""
    if attributes["tvm_custom"]["num_outputs"] > 1:
        raise ValueError("its mean and deviation are outputs, which are not supported")
    sizes = shape_of(inputs[0])
    axes = range(attributes.get("axis", -1) % len(sizes), len(sizes))
    shape = [sizes[axis] for axis in axes]
    scale = numbers(inputs, 1, "scale")
    if scale is not None and len(scale) == 1:
        shape = [1] * len(shape)
    return converted(inputs, shape, axes, attributes.get("epsilon", 1e-5))


def of_instances(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    sizes = shape_of(inputs[0])
    axes = range(2, len(sizes))
    shape = (sizes[1], *(1 for _ in axes))
    return converted(inputs, shape, axes, attributes.get("epsilon", 1e-5))


RULES = Rules(
    calls={NAME: Rule(layer_normalize)},
    onnx={
        "InstanceNormalization": Onnx(of_instances, real_parameters=True),
        "LayerNormalization": Onnx(of_layers, real_parameters=True),
    },
)
