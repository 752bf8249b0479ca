# SPDX-License-Identifier: Apache-2.0
"""Places of the largest and the smallest element along an axis."""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Indices, Unknown, Value
from tinytailor.compiler.frontend.layout import device_axis, device_shape, order_of, row_major
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops import ArgMax


def arg_max(call: Call, builder: GraphBuilder) -> Value:
    return found(call, builder, True)


def arg_min(call: Call, builder: GraphBuilder) -> Value:
    return found(call, builder, False)


def found(call: Call, builder: GraphBuilder, largest: bool) -> Value:
    """Places along one axis or the whole tensor; the other axes stay in the order of the model."""
    if isinstance(builder.argument(call.arguments[0]), Unknown):
        return Unknown(call.shape)
    x = activation(builder, call.arguments[0])
    given = call.attributes["axis"]
    if given is None:
        x = replace(x, shape=(1, x.order.size))
    axis = (1 if given is None else int(given)) % len(x.shape)
    placed, axes = straight(builder, x)
    rest = [a for a in axes if a != axis and x.shape[a] > 1]
    if rest != sorted(rest):
        turned = tuple(a for a in range(len(x.shape)) if a != axis)
        axes = (*turned, axis)
        placed = arranged(builder, placed, order_of(x.shape, axes))
    whole = device_shape(x.shape, axes)
    op = ArgMax(device_axis(x.shape, axes, axis), largest)
    if op.axis == 0:
        raise Declined("it searches along the batch")
    source = as_shape(builder, placed, whole)
    y = Tensor(builder.new_name(call.origin), op.output_shape(source.shape), "int32")
    builder.append(op, (source.name,), y)
    return Indices(y.name, call.shape, row_major(call.shape))


RULES = Rules(
    calls={"relax.argmax": Rule(arg_max), "relax.argmin": Rule(arg_min)},
    onnx={"ArgMax": Onnx(), "ArgMin": Onnx()},
    tflite={"ARG_MAX": Tflite(finds=True), "ARG_MIN": Tflite(finds=True)},
)
