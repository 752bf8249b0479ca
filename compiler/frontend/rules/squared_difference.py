# SPDX-License-Identifier: Apache-2.0
"""Squares of the differences of two tensors, as variances are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused, Value
from tinytailor.compiler.frontend.relax_calls import Call, own_call, shape_of
from tinytailor.compiler.frontend.rules.arithmetic import known
from tinytailor.compiler.frontend.rules.broadcasting import aligned
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Rule, Rules, Tflite
from tinytailor.compiler.frontend.tflite.arguments import quantized, real
from tinytailor.compiler.ops import SquaredDifference

NAME = "tinytailor.squared_difference"


def squared_difference(call: Call, builder: GraphBuilder) -> Value:
    """A table where one is a number."""
    found = known(call, builder, lambda a, b: np.square(np.subtract(a, b)))
    if found is not None:
        return found
    placed = aligned(builder, [activation(builder, a) for a in call.arguments], call.shape)

    def finish(fused: Fused) -> Finished:
        left, right = placed.tensors
        op = SquaredDifference.from_scales(left, right, fused.y, fused.low, fused.high)
        return op, (left.name, right.name), {}

    return Expression(call.shape, placed.order, placed.device, finish)


def from_tflite(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, y = (converter.bb.emit(real(converter, operator, index)) for index in (0, 1))
    shape = np.broadcast_shapes(shape_of(x), shape_of(y))
    out_type = relax.TensorType(shape=list(shape), dtype="float32")
    return quantized(converter, operator, converter.bb.emit(own_call(NAME, [x, y], out_type)))


RULES = Rules(
    calls={NAME: Rule(squared_difference)},
    tflite={"SQUARED_DIFFERENCE": Tflite(from_tflite)},
)
