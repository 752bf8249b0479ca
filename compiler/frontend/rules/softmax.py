# SPDX-License-Identifier: Apache-2.0
"""Softmax over one axis, which comes last on the device."""

from __future__ import annotations

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused
from tinytailor.compiler.frontend.layout import device_shape, order_of
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ops import Softmax
from tinytailor.compiler.ops.softmax import exponentials, output_levels


def softmax(call: Call, builder: GraphBuilder) -> Expression:
    x = activation(builder, call.arguments[0])
    axis = int(call.attributes["axis"]) % len(x.shape)
    classes = x.shape[axis]
    x, axes = straight(builder, x)
    if axes[-1] != axis:
        axes = (*(a for a in axes if a != axis), axis)
        x = arranged(builder, x, order_of(x.shape, axes))
    device = device_shape(x.shape, axes)
    if classes == x.order.size:
        device = (1, classes)
    source = as_shape(builder, x, device)

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after softmax")
        levels, fraction = output_levels(fused.y.scale)
        table = exponentials(source.scale, classes, fraction)
        op = Softmax(levels, fraction, fused.y.zero_point)
        return op, (source.name,), {"table": table}

    return Expression(call.shape, x.order, device, finish, known=(1 / 256, -128))


RULES = Rules(
    calls={"relax.nn.softmax": Rule(softmax)},
    onnx={"Softmax": Onnx(results=(0.0, 255 / 256))},
    tflite={"SOFTMAX": Tflite()},
)
