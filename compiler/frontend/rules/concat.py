# SPDX-License-Identifier: Apache-2.0
"""Tensors behind each other along an axis: bytes change places, numbers stay.

Inputs that are quantized otherwise than the output get a Lookup before them.
"""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.layout import device_axis, device_shape, order_of
from tinytailor.compiler.frontend.quantization import quantization_of, same_quantization
from tinytailor.compiler.frontend.relax_calls import Call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.implied_ranges import common
from tinytailor.compiler.frontend.rules.lookup import as_quantized
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.frontend.tflite.arguments import operand, options
from tinytailor.compiler.ops import Concat


def concat(call: Call, builder: GraphBuilder) -> Value:
    fields = call.arguments[0]
    if any(isinstance(builder.argument(field), Unknown) for field in fields):
        return Unknown(call.shape)
    parts = [activation(builder, field) for field in fields]
    axis = int(call.attributes["axis"] or 0) % len(call.shape)
    known = [part for part in parts if part.tensor not in builder.placeholders]
    axes = straight(builder, (known or parts)[0])[1]
    place = device_axis(call.shape, axes, axis)
    if place == 0:
        raise Declined("it joins along the batch")

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after a concatenation; quantize between them")
        names = []
        for part in parts:
            scaled = as_quantized(builder, part, fused, call.origin)
            placed = arranged(builder, scaled, order_of(part.shape, axes))
            shape = (*device[:place], part.shape[axis], *device[place + 1 :])
            names.append(as_shape(builder, placed, shape).name)
        return Concat(place), tuple(names), {}

    order, device = order_of(call.shape, axes), device_shape(call.shape, axes)
    value = Expression(call.shape, order, device, finish, kept=common(builder, parts))
    return complete(call, builder, parts, value)


def complete(
    call: Call, builder: GraphBuilder, parts: list[Activation], value: Expression
) -> Value:
    """What is made of integers is complete; what is made of reals waits for its scale."""
    if all(part.real for part in parts):
        return value
    tensors = [builder.tensors[part.tensor] for part in parts]
    first = quantization_of(tensors[0])
    alike = all(same_quantization(quantization_of(tensor), first) for tensor in tensors)
    if not alike or len({(part.real, part.offset) for part in parts}) > 1:
        raise Declined("it joins integers of different scales that were not dequantized")
    return builder.emit_like(tensors[0], value, parts[0].offset, call.origin)


def pack(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    count = operator.InputsLength()
    parts = [operand(converter, operator, index) for index in range(count)]
    axis = options(operator, "PackOptions").Axis() % (len(shape_of(parts[0])) + 1)
    shape = (*shape_of(parts[0])[:axis], 1, *shape_of(parts[0])[axis:])
    return [relax.op.concat([relax.op.reshape(part, shape) for part in parts], axis)]


RULES = Rules(
    calls={"relax.concat": Rule(concat, selects=True)},
    onnx={"Concat": Onnx(needed=None)},
    tflite={"CONCATENATION": Tflite(), "PACK": Tflite(pack)},
)
