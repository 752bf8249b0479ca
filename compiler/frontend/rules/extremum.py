# SPDX-License-Identifier: Apache-2.0
"""The larger and the smaller of two: bounds of a clamp where one is a number, else an operator of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import inf
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Constant,
    Expression,
    Finished,
    Fused,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.rules.broadcasting import aligned
from tinytailor.compiler.frontend.rules.clamp import clamped
from tinytailor.compiler.frontend.rules.implied_ranges import common
from tinytailor.compiler.frontend.rules.lookup import as_quantized
from tinytailor.compiler.frontend.rules.operands import dequantized
from tinytailor.compiler.frontend.rules.rule import (
    Attributes,
    Onnx,
    OnnxConversion,
    Rule,
    Rules,
    Tflite,
)
from tinytailor.compiler.ops import Extremum


def maximum(call: Call, builder: GraphBuilder) -> Value:
    return extreme(call, builder, True, np.maximum)


def minimum(call: Call, builder: GraphBuilder) -> Value:
    return extreme(call, builder, False, np.minimum)


def extreme(
    call: Call, builder: GraphBuilder, largest: bool, function: Callable[..., np.ndarray]
) -> Value:
    values = [builder.argument(argument) for argument in call.arguments]
    if any(isinstance(value, Unknown) for value in values):
        return Unknown(call.shape)
    for value, argument in zip(values, call.arguments[::-1], strict=True):
        alone = not isinstance(builder.argument(argument), Pointwise | Constant)
        if isinstance(value, Constant) and value.array.size == 1 and alone:
            number = float(value.real.reshape(-1)[0])
            bounds = (number, inf) if largest else (-inf, number)
            return clamped(call, builder, argument, *bounds)
    if (result := pointwise.binary(call, builder, function)) is not None:
        return result
    if any(isinstance(value, Constant) for value in values):
        raise Declined("the extreme of a tensor and an array of constants; expected one number")
    return of_two(call, builder, largest)


def of_two(call: Call, builder: GraphBuilder, largest: bool) -> Expression:
    """Two tensors, both with the scale of the result."""
    a, b = (dequantized(builder, argument, "compares") for argument in call.arguments)
    placed = aligned(builder, (a, b), call.shape)

    def finish(fused: Fused) -> Finished:
        both = [as_quantized(builder, value, fused, call.origin) for value in (a, b)]
        same = aligned(builder, both, call.shape)
        op = Extremum(largest, fused.low, fused.high)
        return op, tuple(tensor.name for tensor in same.tensors), {}

    kept = common(builder, (a, b))
    return Expression(call.shape, placed.order, placed.device, finish, kept=kept)


def pairwise(name: str) -> OnnxConversion:
    """ONNX Max and Min of any number of inputs, two by two."""

    def convert(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
        from tvm import relax

        return [reduce(getattr(relax.op, name), inputs)]

    return convert


RULES = Rules(
    calls={"relax.maximum": Rule(maximum), "relax.minimum": Rule(minimum)},
    onnx={
        "Max": Onnx(pairwise("maximum"), pointwise=True),
        "Min": Onnx(pairwise("minimum"), pointwise=True),
    },
    tflite={"MAXIMUM": Tflite(), "MINIMUM": Tflite()},
)
