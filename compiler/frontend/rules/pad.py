# SPDX-License-Identifier: Apache-2.0
"""Borders: of one number around a map, or of its own elements, which selection.py takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Value,
)
from tinytailor.compiler.frontend.layout import device_axis, device_shape, order_of
from tinytailor.compiler.frontend.onnx.arguments import given, numbers
from tinytailor.compiler.frontend.relax_calls import Call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.concat import complete
from tinytailor.compiler.frontend.rules.implied_ranges import common, holds
from tinytailor.compiler.frontend.rules.lookup import as_quantized
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.selection import taken_places
from tinytailor.compiler.frontend.rules.transpose import straight
from tinytailor.compiler.frontend.tflite.arguments import constant, operand, options
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import Pad
from tinytailor.compiler.ops.pad import sides


def pad(call: Call, builder: GraphBuilder) -> Value:
    """A border of one value; up to three axes beside the batch."""
    x, axes = straight(builder, activation(builder, call.arguments[0]))
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
        source = as_shape(builder, as_quantized(builder, x, fused, call.origin), four_axes(whole))
        value = border_value(call, fused.y, x)
        first, last = (sides(four_axes(tuple(width), 0)[1:]) for width in (before, after))
        return Pad(first, last, value), (source.name,), {}

    kept, border = common(builder, [x]), np.float32(call.attributes["pad_value"])
    value = Expression(call.shape, order_of(call.shape, axes), four_axes(device), finish)
    if kept and holds(kept, np.array([border])):
        value = replace(value, kept=kept)
    return complete(call, builder, [x], value)


def four_axes(shape: Shape, fill: int = 1) -> Shape:
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


def onnx_pad(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """A border of one number; modes that repeat the map, and negative widths, take its elements."""
    from tvm import relax

    sizes = shape_of(inputs[0])
    pads = given(inputs, 1, "pads", attributes)
    axes = numbers(inputs, 3, "axes") or range(len(sizes))
    widths = [(0, 0)] * len(sizes)
    for index, axis in enumerate(axes):
        widths[axis % len(sizes)] = (int(pads[index]), int(pads[len(pads) // 2 + index]))
    cut = {a: range(n)[max(0, -b) : n + min(0, e)] for a, (n, (b, e)) in pairs_of(sizes, widths)}
    x = taken_places(inputs[0], cut) if any(min(width) < 0 for width in widths) else inputs[0]
    widths = [(max(0, before), max(0, after)) for before, after in widths]
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant":
        left = {axis: np.arange(len(cut[axis])) for axis in cut}
        return [
            taken_places(x, {axis: np.pad(left[axis], widths[axis], mode=mode) for axis in left})
        ]
    value = numbers(inputs, 2, "constant value")
    fill = float(value[0]) if value else float(attributes.get("value", 0.0))
    return [relax.op.nn.pad(x, [n for width in widths for n in width], "constant", fill)]


def pairs_of(*lists: Sequence[Any]) -> Any:
    return enumerate(zip(*lists, strict=True))


def mirror_pad(converter: Any, operator: Any) -> list[Any]:
    """Mode 0 reflects about the edge, mode 1 repeats it."""
    x = operand(converter, operator, 0)
    mode: Any = ("reflect", "symmetric")[options(operator, "MirrorPadOptions").Mode()]
    widths = constant(converter, operator, 1, "paddings").tolist()
    pairs = enumerate(zip(shape_of(x), widths, strict=True))
    return [taken_places(x, {axis: np.pad(np.arange(n), w, mode=mode) for axis, (n, w) in pairs})]


RULES = Rules(
    calls={"relax.nn.pad": Rule(pad, selects=True)},
    onnx={"Pad": Onnx(onnx_pad, keeps_scale=True)},
    tflite={"MIRROR_PAD": Tflite(mirror_pad), "PAD": Tflite(), "PADV2": Tflite()},
)
