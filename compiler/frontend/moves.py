# SPDX-License-Identifier: Apache-2.0
"""Concatenation and padding: bytes change places, numbers stay.

Inputs of a concatenation that are quantized otherwise than its output get a Lookup before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinytailor.compiler.frontend import pointwise
from tinytailor.compiler.frontend.bindings import Call
from tinytailor.compiler.frontend.layout import arranged, order_of, usual_axes
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.values import (
    MAP_LAYOUTS,
    Activation,
    Expression,
    Finished,
    Fused,
    Unknown,
    Value,
    map_order,
    map_shape,
    row_major,
)
from tinytailor.compiler.frontend.walk import Walk, same_quantization
from tinytailor.compiler.ops import Concat, Pad

DEVICE_AXES = {"N": 0, "H": 1, "W": 2, "C": 3}
SERIES_AXES = {"N": 0, "W": 1, "C": 3}


def concat(call: Call, walk: Walk) -> Value:
    fields = call.arguments[0]
    if any(isinstance(walk.argument(field), Unknown) for field in fields):
        return Unknown(call.shape)
    parts = [walk.activation(field) for field in fields]
    if len({part.real for part in parts}) > 1 or not parts[0].real:
        raise Declined("it joins integers that were not dequantized")
    axis = int(call.attributes["axis"] or 0) % len(call.shape)
    parts = alike(walk, parts)
    layout = common_layout(walk, parts)
    if layout:
        place = device_axis(layout, axis)
        device, order = map_shape(call.shape, layout), map_order(call.shape, layout)
    else:
        place, device, order = axis, call.shape, row_major(call.shape)
    if place == 0:
        raise Declined("it joins along the batch")

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after a concatenation; quantize between them")
        names = []
        for part in parts:
            scaled = as_quantized(walk, part, fused, call)
            tensor = walk.as_map(scaled, layout) if layout else walk.as_shape(scaled, part.shape)
            names.append(tensor.name)
        return Concat(place), tuple(names), {}

    return Expression(call.shape, order, device, finish)


def as_quantized(walk: Walk, part: Activation, fused: Fused, call: Call) -> Activation:
    """``part`` with the scale and zero point of the output."""
    tensor, quantization = walk.tensors[part.tensor], (fused.y.scale, fused.y.zero_point)
    if same_quantization((tensor.scale, tensor.zero_point), quantization):
        return part
    value = pointwise.of_activation(part, walk)
    return pointwise.finish(walk, value, quantization, part.offset, call.origin)


def alike(walk: Walk, parts: Sequence[Activation]) -> list[Activation]:
    """The parts in one layout, transposed in memory where they lie otherwise."""
    try:
        common_layout(walk, parts)
    except Declined:
        axes = usual_axes(walk, len(parts[0].shape))
        return [arranged(walk, part, order_of(part.shape, axes)) for part in parts]
    return list(parts)


def common_layout(walk: Walk, parts: Sequence[Activation]) -> str:
    """The layout all maps have; "" for tensors that lie row by row."""
    for layout in MAP_LAYOUTS:
        if all(fits(walk, part, layout) for part in parts):
            return layout
    if all(np.array_equal(part.order, row_major(part.shape)) for part in parts):
        return ""
    raise Declined("its inputs lie in memory in different layouts")


def fits(walk: Walk, part: Activation, layout: str) -> bool:
    if len(layout) != len(part.shape):
        return False
    guessed = part.tensor in walk.placeholders
    return guessed or np.array_equal(part.order, map_order(part.shape, layout))


def device_axis(layout: str, axis: int) -> int:
    return (SERIES_AXES if len(layout) == 3 else DEVICE_AXES)[layout[axis]]


def pad(call: Call, walk: Walk) -> Value:
    """A border of one value round a map."""
    x = walk.activation(call.arguments[0])
    mode = str(call.attributes.get("pad_mode", "constant"))
    if mode != "constant":
        raise Declined(f"padding of mode {mode}, expected constant")
    layout = common_layout(walk, [x])
    if not layout:
        raise Declined(f"padding of shape {x.shape}, expected a map")
    source = walk.as_map(x, layout)
    op = padding(call, layout, border_value(call, walk, x))
    if op.output_shape(source.shape) != map_shape(call.shape, layout):
        raise Declined("padding of the batch")
    quantization = (source.scale, source.zero_point)

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after padding; quantize between them")
        if not same_quantization(quantization, (fused.y.scale, fused.y.zero_point)):
            raise Declined(
                f"padding of a tensor of scale {source.scale:g} into one of scale "
                f"{fused.y.scale:g}; give both the same scale and zero point"
            )
        return op, (source.name,), {}

    device = map_shape(call.shape, layout)
    value = Expression(call.shape, map_order(call.shape, layout), device, finish)
    if x.real:
        return value
    y = replace(source, name=walk.new_name(call.origin), shape=device)
    return walk.emit(value, Fused(y, -128, 127, None), x.offset)


def padding(call: Call, layout: str, value: int) -> Pad:
    widths = [int(width) for width in call.attributes["pad_width"]]
    if min(widths) < 0:
        raise Declined("negative padding, which cuts the map")
    before, after = [0, 0, 0, 0], [0, 0, 0, 0]
    for axis in range(len(layout)):
        place = device_axis(layout, axis)
        before[place], after[place] = widths[2 * axis : 2 * axis + 2]
    return Pad((before[1], before[2], before[3]), (after[1], after[2], after[3]), value)


def border_value(call: Call, walk: Walk, x: Activation) -> int:
    real = float(call.attributes["pad_value"])
    tensor = walk.tensors[x.tensor]
    steps = np.rint(np.float32(real) / np.float32(tensor.scale)) + tensor.zero_point
    value = steps if x.real else np.float32(real - x.offset)
    if np.isnan(value):
        raise Declined("its border is not a number")
    return int(np.clip(value, -128, 127))
