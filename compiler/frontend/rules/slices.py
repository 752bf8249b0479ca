# SPDX-License-Identifier: Apache-2.0
"""Slice, Split, Gather by constants, Tile, Expand and Reverse as the one call of selection.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.arguments import given, numbers
from tinytailor.compiler.frontend.relax_calls import shape_of
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rules, Tflite
from tinytailor.compiler.frontend.rules.selection import taken_places
from tinytailor.compiler.frontend.tflite.arguments import constant, operand, options


def parts_of(x: Any, axis: int, lengths: list[int]) -> list[Any]:
    ends = np.cumsum(lengths)
    return [taken_places(x, {axis: range(e - n, e)}) for e, n in zip(ends, lengths, strict=True)]


def gathered(x: Any, axis: int, indices: np.ndarray) -> Any:
    """``x`` at ``indices`` along an axis, which becomes the axes of ``indices``."""
    from tvm import relax

    sizes = shape_of(x)
    taken = taken_places(x, {axis: indices.reshape(-1).tolist()})
    if indices.ndim == 1:
        return taken
    return relax.op.reshape(taken, (*sizes[:axis], *indices.shape, *sizes[axis + 1 :]))


def repeated(x: Any, times: Sequence[int]) -> Any:
    """Each axis of ``x`` so many times behind itself."""
    pairs = enumerate(zip(shape_of(x), times, strict=True))
    return taken_places(x, {axis: list(range(size)) * count for axis, (size, count) in pairs})


def onnx_slice(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Begin, end and step are clamped to the axis as Python's slices are."""
    sizes = shape_of(inputs[0])
    starts = given(inputs, 1, "starts", attributes)
    ends = given(inputs, 2, "ends", attributes)
    axes = given(inputs, 3, "axes", attributes) or range(len(starts))
    steps = numbers(inputs, 4, "steps") or [1] * len(starts)
    places = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = sizes[axis % len(sizes)]
        last = end if end >= -size else (None if step < 0 else 0)
        places[axis % len(sizes)] = range(size)[start if start >= -size else 0 : last : step]
    return [taken_places(inputs[0], places)]


def onnx_split(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    sizes = shape_of(inputs[0])
    axis = int(attributes.get("axis", 0)) % len(sizes)
    lengths = given(inputs, 1, "split", attributes)
    if not lengths:
        count = attributes["tvm_custom"]["num_outputs"]
        length = -(-sizes[axis] // count)
        lengths = [length] * (count - 1) + [sizes[axis] - length * (count - 1)]
    if sum(lengths) != sizes[axis]:
        raise ValueError(f"its parts {lengths} do not make up the {sizes[axis]} of axis {axis}")
    return parts_of(inputs[0], axis, lengths)


def onnx_gather(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    axis = int(attributes.get("axis", 0)) % len(shape_of(inputs[0]))
    if numbers(inputs, 1, "indices") is None:
        raise ValueError("its indices are missing")
    indices = inputs[1].value.numpy()
    return [gathered(inputs[0], axis, indices % shape_of(inputs[0])[axis])]


def onnx_tile(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    repeats = numbers(inputs, 1, "repeats") or []
    sizes = shape_of(inputs[0])
    if len(repeats) != len(sizes) or min(repeats) < 1:
        raise ValueError(f"repeats {repeats} of shape {sizes}")
    return [repeated(inputs[0], repeats)]


def onnx_expand(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    shape = tuple(int(size) for size in numbers(inputs, 1, "shape") or ())
    shape = np.broadcast_shapes(shape, shape_of(inputs[0]))
    sizes = (1,) * (len(shape) - len(shape_of(inputs[0]))) + shape_of(inputs[0])
    x = inputs[0] if sizes == shape_of(inputs[0]) else relax.op.reshape(inputs[0], sizes)
    places = {a: [0] * n for a, (n, old) in enumerate(zip(shape, sizes, strict=True)) if n != old}
    return [taken_places(x, places, sizes, str(inputs[0].ty.dtype))]


def tflite_slice(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    begin = constant(converter, operator, 1, "begin").tolist()
    size = constant(converter, operator, 2, "size").tolist()
    parts = zip(begin, size, shape_of(x), strict=True)
    places = {i: range(b, whole if n < 0 else b + n) for i, (b, n, whole) in enumerate(parts)}
    return [taken_places(x, places)]


def strided_slice(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, found = operand(converter, operator, 0), options(operator, "StridedSliceOptions")
    if found.EllipsisMask() or found.NewAxisMask():
        raise ValueError("it has an ellipsis or a new axis, expected one range for each axis")
    names = ("begin", "end", "strides")
    numbers = [constant(converter, operator, i + 1, name) for i, name in enumerate(names)]
    sizes = shape_of(x)
    places, kept = {}, list(range(len(sizes)))
    for axis, (begin, end, step) in enumerate(zip(*numbers, strict=True)):
        if found.ShrinkAxisMask() >> axis & 1:
            places[axis] = range(sizes[axis])[begin:][:1]
            kept.remove(axis)
            continue
        first = None if found.BeginMask() >> axis & 1 else int(begin)
        last = None if found.EndMask() >> axis & 1 else int(end)
        places[axis] = range(sizes[axis])[first : last : int(step)]
    taken = taken_places(x, places)
    if len(kept) == len(sizes):
        return [taken]
    return [relax.op.reshape(taken, [len(places.get(axis, range(sizes[axis]))) for axis in kept])]


def tflite_split(converter: Any, operator: Any) -> list[Any]:
    """Into as many equal parts as there are outputs."""
    x = operand(converter, operator, 1)
    axis = int(constant(converter, operator, 0, "axis").reshape(-1)[0]) % len(shape_of(x))
    count = operator.OutputsLength()
    if shape_of(x)[axis] % count:
        raise ValueError(f"axis {axis} of {shape_of(x)} has no {count} equal parts")
    return parts_of(x, axis, [shape_of(x)[axis] // count] * count)


def split_v(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    lengths = constant(converter, operator, 1, "sizes").reshape(-1).tolist()
    axis = int(constant(converter, operator, 2, "axis").reshape(-1)[0]) % len(shape_of(x))
    rest = shape_of(x)[axis] - sum(n for n in lengths if n >= 0)
    return parts_of(x, axis, [rest if n < 0 else n for n in lengths])


def unpack(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x = operand(converter, operator, 0)
    sizes = shape_of(x)
    axis = options(operator, "UnpackOptions").Axis() % len(sizes)
    rest = [*sizes[:axis], *sizes[axis + 1 :]]
    parts = parts_of(x, axis, [1] * sizes[axis])
    return [relax.op.reshape(converter.bb.normalize(part), rest) for part in parts]


def tflite_gather(converter: Any, operator: Any) -> list[Any]:
    x, found = operand(converter, operator, 0), options(operator, "GatherOptions")
    if found.BatchDims():
        raise ValueError("it gathers by batch")
    indices = constant(converter, operator, 1, "indices")
    return [gathered(x, found.Axis() % len(shape_of(x)), indices)]


def reverse(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    sizes = shape_of(x)
    axes = constant(converter, operator, 1, "axis").reshape(-1).tolist()
    return [taken_places(x, {axis % len(sizes): range(sizes[axis])[::-1] for axis in axes})]


def tflite_tile(converter: Any, operator: Any) -> list[Any]:
    multiples = constant(converter, operator, 1, "multiples").reshape(-1).tolist()
    return [repeated(operand(converter, operator, 0), multiples)]


RULES = Rules(
    onnx={
        "Expand": Onnx(onnx_expand, keeps_scale=True),
        "Gather": Onnx(onnx_gather, keeps_scale=True),
        "Slice": Onnx(onnx_slice, keeps_scale=True),
        "Split": Onnx(onnx_split, keeps_scale=True),
        "Tile": Onnx(onnx_tile, keeps_scale=True),
    },
    tflite={
        "GATHER": Tflite(tflite_gather),
        "REVERSE_V2": Tflite(reverse),
        "SLICE": Tflite(tflite_slice),
        "SPLIT": Tflite(tflite_split),
        "SPLIT_V": Tflite(split_v),
        "STRIDED_SLICE": Tflite(strided_slice),
        "TILE": Tflite(tflite_tile),
        "UNPACK": Tflite(unpack),
    },
)
