# SPDX-License-Identifier: Apache-2.0
"""Softmax of one row of classes."""

from __future__ import annotations

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.ops import Softmax
from tinytailor.compiler.ops.softmax import exponentials, output_levels


def softmax(call: Call, builder: GraphBuilder) -> Expression:
    x = activation(builder, call.arguments[0])
    axis = int(call.attributes["axis"]) % len(x.shape)
    classes = x.shape[axis]
    if classes != x.order.size:
        raise Declined(f"softmax of {x.shape} over axis {axis}: expected one row of classes")
    source = as_shape(builder, x, (1, classes))

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after softmax")
        levels, fraction = output_levels(fused.y.scale)
        table = exponentials(source.scale, classes, fraction)
        op = Softmax(levels, fraction, fused.y.zero_point)
        return op, (source.name,), {"table": table}

    return Expression(call.shape, x.order, (1, classes), finish, known=(1 / 256, -128))


RULES = Rules(
    calls={"relax.nn.softmax": Rule(softmax)},
    onnx={"Softmax": Onnx(results=(0.0, 255 / 256))},
    tflite={"SOFTMAX": Tflite()},
)
