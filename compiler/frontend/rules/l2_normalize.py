# SPDX-License-Identifier: Apache-2.0
"""Vectors along one axis divided by their length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused
from tinytailor.compiler.frontend.relax_calls import Call, own_call
from tinytailor.compiler.frontend.rules.rows import rows_along
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.tflite.arguments import quantized, real
from tinytailor.compiler.ops import L2Normalize

NAME = "tinytailor.l2_normalize"


def l2_normalize(call: Call, builder: GraphBuilder) -> Expression:
    axis = builder.constant(call.arguments[1], "axis").array
    rows = rows_along(builder, call.arguments[0], int(axis))

    def finish(fused: Fused) -> Finished:
        op = L2Normalize.from_scales(rows.source, fused.y, fused.low, fused.high)
        return op, (rows.source.name,), {}

    return Expression(call.shape, rows.order, rows.device, finish, known=(1 / 128, 0))


def along(x: Any, axis: int) -> Any:
    from tvm import relax

    return own_call(NAME, [x, relax.const(np.int64(axis))], x.ty)


def from_onnx(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    if attributes.get("p", 2) != 2:
        raise ValueError(f"it divides by the norm of order {attributes['p']}, expected 2")
    return [along(inputs[0], attributes.get("axis", -1))]


def from_tflite(converter: Any, operator: Any) -> list[Any]:
    return quantized(
        converter, operator, along(converter.bb.emit(real(converter, operator, 0)), -1)
    )


RULES = Rules(
    calls={NAME: Rule(l2_normalize)},
    onnx={"LpNormalization": Onnx(from_onnx, results=(-1.0, 127 / 128))},
    tflite={"L2_NORMALIZATION": Tflite(from_tflite)},
)
