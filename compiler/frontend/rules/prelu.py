# SPDX-License-Identifier: Apache-2.0
"""PRelu, whose negative side has a slope of its own for each channel.

It reaches the importer as one call on x and slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.layout import device_shape
from tinytailor.compiler.frontend.relax_calls import Call, own_call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.rules.broadcasting import reduced
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import straight
from tinytailor.compiler.frontend.tflite.arguments import quantized, real
from tinytailor.compiler.ops import PRelu

NAME = "tinytailor.prelu"


def prelu(call: Call, builder: GraphBuilder) -> Value:
    """x where it is positive, slope * x elsewhere: a table if there is one slope only."""
    value = builder.argument(call.arguments[0])
    slope = builder.constant(call.arguments[1], "slope").real
    if isinstance(value, Unknown):
        return value
    if slope.size == 1 and isinstance(value, Activation | Pointwise):
        number = slope.reshape(-1)[0]
        return pointwise.unary(lambda real, _: np.where(real < 0, real * number, real))(
            call, builder
        )
    x, axes = straight(builder, activation(builder, call.arguments[0]))
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape or not np.all(np.isfinite(slope)):
        raise Declined(f"slopes of shape {slope.shape} for a tensor of shape {x.shape}")
    source = as_shape(builder, x, device_shape(x.shape, axes))
    placed = np.broadcast_to(slope, x.shape).transpose(axes).reshape(source.shape)
    slopes, _ = reduced(placed, placed)

    def finish(fused: Fused) -> Finished:
        op, negative = PRelu.from_scales(source, slopes, fused.y, fused.low, fused.high)
        return op, (source.name,), {"negative": negative}

    return Expression(call.shape, x.order, source.shape, finish)


def from_onnx(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    x, slope = inputs
    return [own_call(NAME, [x, slope], x.ty)]


def from_tflite(converter: Any, operator: Any) -> list[Any]:
    x, slope = (converter.bb.emit(real(converter, operator, index)) for index in (0, 1))
    return quantized(converter, operator, own_call(NAME, [x, slope], x.ty))


RULES = Rules(
    calls={NAME: Rule(prelu)},
    onnx={"PRelu": Onnx(from_onnx, real_parameters=True, pointwise=True)},
    tflite={"PRELU": Tflite(from_tflite)},
)
