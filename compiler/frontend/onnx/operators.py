# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that are written in our own terms instead of TVM's.

Each function gets the node's inputs and attributes and returns Relax expressions, one for each
output. Whatever must be constant is read here; ValueError says what is not as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import floor
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.rules import deform_conv, extremum, selection

Attributes = Mapping[str, Any]
Conversion = Callable[[Sequence[Any], Attributes], list[Any]]


def shape_of(expression: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in expression.ty.shape.values)


def numbers(inputs: Sequence[Any], index: int, name: str) -> list[Any] | None:
    """The constant input ``index`` as a flat list; None if it is left out."""
    item = inputs[index] if len(inputs) > index else None
    if item is None:
        return None
    if not hasattr(item, "value"):
        raise ValueError(f"its {name} is computed by the model, expected a constant")
    return list(item.value.numpy().reshape(-1).tolist())


def given(inputs: Sequence[Any], index: int, name: str, attributes: Attributes) -> Any:
    """What older opsets have as an attribute and newer ones as an input."""
    found = numbers(inputs, index, name)
    return attributes.get(name) if found is None else found


def take(
    x: Any,
    places: Mapping[int, Sequence[int] | np.ndarray],
    sizes: Sequence[int] = (),
    dtype: str = "",
) -> Any:
    """The call of selection.py: places along some axes, all of the others.

    ``sizes`` and ``dtype``: those of ``x`` where it is a call whose type is not inferred yet.
    """
    from tvm import relax

    sizes = sizes or shape_of(x)
    tables = [np.asarray(places.get(axis, range(n)), np.int64) for axis, n in enumerate(sizes)]
    shape = [len(table) for table in tables]
    out_type = relax.TensorType(shape=shape, dtype=dtype or str(x.ty.dtype))
    arguments = relax.Tuple([x, *(relax.const(table) for table in tables)])
    return relax.op.call_dps_packed(selection.NAME, arguments, out_type)


def slice_(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
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
    return [take(inputs[0], places)]


def split(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    sizes = shape_of(inputs[0])
    axis = int(attributes.get("axis", 0)) % len(sizes)
    lengths = given(inputs, 1, "split", attributes)
    if not lengths:
        count = attributes["tvm_custom"]["num_outputs"]
        length = -(-sizes[axis] // count)
        lengths = [length] * (count - 1) + [sizes[axis] - length * (count - 1)]
    ends = np.cumsum(lengths)
    if ends[-1] != sizes[axis]:
        raise ValueError(f"its parts {lengths} do not make up the {sizes[axis]} of axis {axis}")
    bounds = zip(ends - lengths, ends, strict=True)
    return [take(inputs[0], {axis: range(begin, end)}) for begin, end in bounds]


def gather(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    sizes = shape_of(inputs[0])
    axis = int(attributes.get("axis", 0)) % len(sizes)
    places = numbers(inputs, 1, "indices")
    if places is None:
        raise ValueError("its indices are missing")
    taken = take(inputs[0], {axis: [place % sizes[axis] for place in places]})
    wanted = inputs[1].value.numpy().shape
    if len(wanted) == 1:
        return [taken]
    return [relax.op.reshape(taken, (*sizes[:axis], *wanted, *sizes[axis + 1 :]))]


def tile(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    repeats = numbers(inputs, 1, "repeats") or []
    sizes = shape_of(inputs[0])
    if len(repeats) != len(sizes) or min(repeats) < 1:
        raise ValueError(f"repeats {repeats} of shape {sizes}")
    places = {
        axis: list(range(n)) * r for axis, (n, r) in enumerate(zip(sizes, repeats, strict=True))
    }
    return [take(inputs[0], places)]


def expand(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    shape = tuple(int(size) for size in numbers(inputs, 1, "shape") or ())
    shape = np.broadcast_shapes(shape, shape_of(inputs[0]))
    sizes = (1,) * (len(shape) - len(shape_of(inputs[0]))) + shape_of(inputs[0])
    x = inputs[0] if sizes == shape_of(inputs[0]) else relax.op.reshape(inputs[0], sizes)
    places = {a: [0] * n for a, (n, old) in enumerate(zip(shape, sizes, strict=True)) if n != old}
    return [take(x, places, sizes, str(inputs[0].ty.dtype))]


def resize(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Nearest only; Upsample is the form it had before opset 10."""
    mode = attributes.get("mode", b"nearest").decode()
    if mode != "nearest":
        raise ValueError(f"resizing of mode {mode}, expected nearest")
    sizes = shape_of(inputs[0])
    old = len(inputs) <= 2  # Upsample and Resize of opset 10 have the scales as second input
    scales = given(inputs, 1 if old else 2, "scales", attributes) or None
    wanted = numbers(inputs, 3, "sizes") or None
    axes = [axis % len(sizes) for axis in attributes.get("axes", range(len(sizes)))]
    if attributes.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        raise ValueError("it keeps the aspect ratio, expected sizes as they shall be")
    if scales is None and wanted is None:
        raise ValueError("it has neither scales nor sizes")
    coordinates = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    coordinates = "asymmetric" if old else coordinates
    rounding = "floor" if old else attributes.get("nearest_mode", b"round_prefer_floor").decode()
    places = {}
    for index, axis in enumerate(axes):
        size = sizes[axis]
        scale = scales[index] if scales else wanted[index] / size  # type: ignore[index]
        count = int(wanted[index]) if wanted else floor(size * np.float32(scale))
        places[axis] = nearest(size, count, scale, coordinates, rounding)
    return [take(inputs[0], places)]


def nearest(size: int, count: int, scale: float, coordinates: str, rounding: str) -> list[int]:
    """The source of each of ``count`` elements, in float32 as onnxruntime computes it."""
    one, half, s = np.float32(1), np.float32(0.5), np.float32(scale)
    i = np.arange(count, dtype=np.float32)
    if coordinates == "asymmetric":
        x = i / s
    elif coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and count > 1):
        x = (i + half) / s - half
    elif coordinates == "pytorch_half_pixel":
        x = np.zeros_like(i)
    elif coordinates == "align_corners":
        x = i * np.float32(size - 1) / np.float32(count - one) if count > 1 else np.zeros_like(i)
    else:
        raise ValueError(f"coordinate_transformation_mode {coordinates}")
    if scale == 1:
        x = i
    roundings: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda x: np.ceil(x - half),
        "round_prefer_ceil": lambda x: np.floor(x + half),
    }
    if rounding not in roundings:
        raise ValueError(f"nearest_mode {rounding}")
    return [int(place) for place in np.clip(roundings[rounding](x), 0, size - 1)]


def gemm(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """alpha A B + beta C; alpha goes to B and beta to C, which are constants."""
    from tvm import relax

    def scaled(item: Any, name: str) -> Any:
        factor = float(attributes.get(name, 1.0))
        return item if factor == 1 else relax.op.multiply(item, relax.const(factor, "float32"))

    a, b = inputs[:2]
    a = relax.op.permute_dims(a, [1, 0]) if attributes.get("transA", 0) else a
    b = relax.op.permute_dims(b, [1, 0]) if attributes.get("transB", 0) else b
    y = relax.op.matmul(a, scaled(b, "alpha"))
    c = inputs[2] if len(inputs) > 2 else None
    return [y if c is None else relax.op.add(y, scaled(c, "beta"))]


def pad(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """A border of one number; modes that repeat the map, and negative widths, take its elements."""
    from tvm import relax

    sizes = shape_of(inputs[0])
    pads = given(inputs, 1, "pads", attributes)
    axes = numbers(inputs, 3, "axes") or range(len(sizes))
    widths = [(0, 0)] * len(sizes)
    for index, axis in enumerate(axes):
        widths[axis % len(sizes)] = (int(pads[index]), int(pads[len(pads) // 2 + index]))
    cut = {a: range(n)[max(0, -b) : n + min(0, e)] for a, (n, (b, e)) in pairs_of(sizes, widths)}
    x = take(inputs[0], cut) if any(min(width) < 0 for width in widths) else inputs[0]
    widths = [(max(0, before), max(0, after)) for before, after in widths]
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant":
        left = {axis: np.arange(len(cut[axis])) for axis in cut}
        return [take(x, {axis: np.pad(left[axis], widths[axis], mode=mode) for axis in left})]
    value = numbers(inputs, 2, "constant value")
    fill = float(value[0]) if value else float(attributes.get("value", 0.0))
    return [relax.op.nn.pad(x, [n for width in widths for n in width], "constant", fill)]


def pairs_of(*lists: Sequence[Any]) -> Any:
    return enumerate(zip(*lists, strict=True))


def batch_normalization(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """One product and one sum per channel, which a layer before it takes in."""
    from tvm import relax

    if attributes.get("training_mode", 0):
        raise ValueError("it is in training mode; export the model for inference")
    names = ("scale", "bias", "mean", "variance")
    arrays = [np.asarray(numbers(inputs, i + 1, n), np.float64) for i, n in enumerate(names)]
    gamma, beta, mean, variance = arrays
    gain = gamma / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    along = (-1, *(1 for _ in shape_of(inputs[0])[2:]))
    pair = (array.astype(np.float32).reshape(along) for array in (gain, beta - gain * mean))
    factor, constant = (relax.const(array) for array in pair)
    return [relax.op.add(relax.op.multiply(inputs[0], factor), constant)]


def pairwise(name: str) -> Conversion:
    """Max, Min and Sum of any number of inputs, two by two."""

    def convert(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
        from tvm import relax

        return [reduce(getattr(relax.op, name), inputs)]

    return convert


def prelu(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    x, slope = inputs
    return [relax.op.call_dps_packed(extremum.PRELU, relax.Tuple([x, slope]), x.ty)]


def clip(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Bounds as inputs (opset 11 on) or attributes; a missing one is infinite."""
    from tvm import relax

    bounds = []
    for index, (name, missing) in enumerate((("min", float("-inf")), ("max", float("inf")))):
        found = numbers(inputs, 1 + index, name)
        bounds.append(float(attributes.get(name, missing) if found is None else found[0]))
    return [relax.op.clip(inputs[0], *bounds)]


def celu(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)"""
    from tvm import relax

    alpha, one = (relax.const(np.float32(n)) for n in (attributes.get("alpha", 1.0), 1.0))
    zero = relax.const(np.float32(0))
    grown = relax.op.exp(relax.op.divide(inputs[0], alpha))
    below = relax.op.minimum(relax.op.multiply(alpha, relax.op.subtract(grown, one)), zero)
    return [relax.op.add(relax.op.maximum(inputs[0], zero), below)]


def dropout(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Nothing, unless it is trained."""
    training = numbers(inputs, 2, "training_mode")
    if training is not None and np.any(training):
        raise ValueError("it is in training mode; export the model for inference")
    return [inputs[0]]


CONVERSIONS: dict[str, Conversion] = {
    "BatchNormalization": batch_normalization,
    "Celu": celu,
    "Clip": clip,
    "DeformConv": deform_conv.opaque,
    "Dropout": dropout,
    "Expand": expand,
    "Gather": gather,
    "Gemm": gemm,
    "Max": pairwise("maximum"),
    "Min": pairwise("minimum"),
    "PRelu": prelu,
    "Pad": pad,
    "Resize": resize,
    "Slice": slice_,
    "Split": split,
    "Sum": pairwise("add"),
    "Tile": tile,
    "Upsample": resize,
}
