# SPDX-License-Identifier: Apache-2.0
"""Softmax over one axis, and its logarithm."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.rows import rows_along
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.tflite.arguments import quantized, real
from tinytailor.compiler.ops import LogSoftmax, Softmax
from tinytailor.compiler.ops.log_softmax import output_range
from tinytailor.compiler.ops.softmax import exponentials, output_levels


def softmax(call: Call, builder: GraphBuilder) -> Expression:
    rows = rows_along(builder, call.arguments[0], int(call.attributes["axis"]))

    def finish(fused: Fused) -> Finished:
        check_unclamped(fused)
        levels, fraction = output_levels(fused.y.scale)
        table = exponentials(rows.source.scale, rows.length, fraction)
        op = Softmax(levels, fraction, fused.y.zero_point)
        return op, (rows.source.name,), {"table": table}

    return Expression(call.shape, rows.order, rows.device, finish, known=(1 / 256, -128))


def log_softmax(call: Call, builder: GraphBuilder) -> Expression:
    rows = rows_along(builder, call.arguments[0], int(call.attributes["axis"]))

    def finish(fused: Fused) -> Finished:
        check_unclamped(fused)
        op, constants = LogSoftmax.from_scales(rows.source, fused.y, rows.length)
        return op, (rows.source.name,), constants

    known = output_range(rows.source.scale, rows.length)
    return Expression(call.shape, rows.order, rows.device, finish, known=known)


def check_unclamped(fused: Fused) -> None:
    if (fused.low, fused.high) != (-128, 127):
        raise Declined("a clamp after softmax")


def tflite_log_softmax(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    return quantized(converter, operator, relax.op.nn.log_softmax(real(converter, operator, 0)))


RULES = Rules(
    calls={"relax.nn.log_softmax": Rule(log_softmax), "relax.nn.softmax": Rule(softmax)},
    onnx={"LogSoftmax": Onnx(), "Softmax": Onnx(results=(0.0, 255 / 256))},
    tflite={"LOG_SOFTMAX": Tflite(tflite_log_softmax), "SOFTMAX": Tflite()},
)
