# SPDX-License-Identifier: Apache-2.0
"""Concatenation and padding: bytes change places, numbers stay.

Inputs that are quantized otherwise than the output get a Lookup before them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinytailor.compiler.frontend.importer import Walk, same_quantization
from tinytailor.compiler.frontend.layout import (
    arranged,
    device_axis,
    device_shape,
    order_of,
    straight,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import pointwise
from tinytailor.compiler.frontend.values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Unknown,
    Value,
)
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import Concat, Pad
from tinytailor.compiler.ops.pad import sides


def concat(call: Call, walk: Walk) -> Value:
    fields = call.arguments[0]
    if any(isinstance(walk.argument(field), Unknown) for field in fields):
        return Unknown(call.shape)
    parts = [walk.activation(field) for field in fields]
    axis = int(call.attributes["axis"] or 0) % len(call.shape)
    known = [part for part in parts if part.tensor not in walk.placeholders]
    axes = straight(walk, (known or parts)[0])[1]
    place = device_axis(call.shape, axes, axis)
    if place == 0:
        raise Declined("it joins along the batch")

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after a concatenation; quantize between them")
        names = []
        for part in parts:
            scaled = as_quantized(walk, part, fused, call)
            placed = arranged(walk, scaled, order_of(part.shape, axes))
            names.append(walk.as_shape(placed, device_shape(part.shape, axes)).name)
        return Concat(place), tuple(names), {}

    order, device = order_of(call.shape, axes), device_shape(call.shape, axes)
    value = Expression(call.shape, order, device, finish)
    return complete(call, walk, parts, value)


def complete(call: Call, walk: Walk, parts: list[Activation], value: Expression) -> Value:
    """What is made of integers is complete; what is made of reals waits for its scale."""
    if all(part.real for part in parts):
        return value
    tensors = [walk.tensors[part.tensor] for part in parts]
    first = (tensors[0].scale, tensors[0].zero_point)
    alike = all(same_quantization((t.scale, t.zero_point), first) for t in tensors)
    if not alike or len({(part.real, part.offset) for part in parts}) > 1:
        raise Declined("it joins integers of different scales that were not dequantized")
    y = replace(tensors[0], name=walk.new_name(call.origin), shape=value.device)
    return walk.emit(value, Fused(y, -128, 127, None), parts[0].offset)


def as_quantized(walk: Walk, part: Activation, fused: Fused, call: Call) -> Activation:
    """``part`` with the scale and zero point of the output."""
    tensor, quantization = walk.tensors[part.tensor], (fused.y.scale, fused.y.zero_point)
    if same_quantization((tensor.scale, tensor.zero_point), quantization):
        return part
    value = pointwise.of_activation(part, walk)
    return pointwise.finish(walk, value, quantization, part.offset, call.origin)


def pad(call: Call, walk: Walk) -> Value:
    """A border of one value; up to three axes beside the batch."""
    x, axes = straight(walk, walk.activation(call.arguments[0]))
    mode = str(call.attributes.get("pad_mode", "constant"))
    if mode != "constant":
        raise Declined(f"padding of mode {mode}, expected constant")
    whole = device_shape(x.shape, axes)
    before, after = [0] * len(whole), [0] * len(whole)
    widths = [int(width) for width in call.attributes["pad_width"]]
    for axis in range(len(x.shape)):
        place = device_axis(x.shape, axes, axis)
        before[place], after[place] = widths[2 * axis : 2 * axis + 2]
    if before[0] or after[0]:
        raise Declined("padding of the batch")
    if len(whole) > 4 or min(widths) < 0:
        raise Declined(f"padding {widths} of shape {x.shape}, expected a map and 0 or more")
    device = device_shape(call.shape, axes)

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after padding; quantize between them")
        source = walk.as_shape(as_quantized(walk, x, fused, call), as_map(whole))
        value = border_value(call, fused.y, x)
        first, last = (sides(as_map(tuple(width), 0)[1:]) for width in (before, after))
        return Pad(first, last, value), (source.name,), {}

    value = Expression(call.shape, order_of(call.shape, axes), as_map(device), finish)
    return complete(call, walk, [x], value)


def as_map(shape: Shape, fill: int = 1) -> Shape:
    """Rows and series as maps: (1, c) to (1, 1, 1, c) and (1, t, c) to (1, t, 1, c)."""
    if len(shape) == 4:
        return shape
    return (*shape[:-1], *(fill,) * (4 - len(shape)), shape[-1])


def border_value(call: Call, y: Tensor, x: Activation) -> int:
    """The border in integers of the output; quantized like any other number."""
    real = float(call.attributes["pad_value"])
    steps = np.rint(np.float32(real) / np.float32(y.scale)) + y.zero_point
    value = steps if x.real else np.float32(real - x.offset)
    if np.isnan(value):
        raise Declined("its border is not a number")
    return int(np.clip(value, -128, 127))
