# SPDX-License-Identifier: Apache-2.0
"""Resizing to nearest neighbours or between them: where each element of the result lies along each
axis, in the float32 arithmetic of the format's own runtime.

What follows from the places is selection.py, and resize_linear.py where they are fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.arguments import given, numbers
from tinytailor.compiler.frontend.relax_calls import shape_of
from tinytailor.compiler.frontend.rules.resize_linear import between_places
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rules, Tflite
from tinytailor.compiler.frontend.rules.selection import taken_places
from tinytailor.compiler.frontend.tflite.arguments import (
    constant,
    operand,
    options,
    quantized,
    real,
)

ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
}


def onnx_resize(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Nearest or linear; Upsample is the form it had before opset 10."""
    mode = attributes.get("mode", b"nearest").decode()
    if mode not in ("nearest", "linear"):
        raise ValueError(f"resizing of mode {mode}, expected nearest or linear")
    if attributes.get("antialias", 0) and mode == "linear":
        raise ValueError("it resizes with a filter against aliasing, expected none")
    places = onnx_places(inputs, attributes)
    if mode == "linear":
        return [between_places(inputs[0], places)]
    old = len(inputs) <= 2
    rounding = "floor" if old else attributes.get("nearest_mode", b"round_prefer_floor").decode()
    if rounding not in ROUNDINGS:
        raise ValueError(f"nearest_mode {rounding}")
    return [nearest(inputs[0], places, rounding)]


def nearest(x: Any, places: Mapping[int, np.ndarray], rounding: str) -> Any:
    """The call that takes the elements of ``x`` next to these places."""
    sizes = shape_of(x)
    rounded = {
        axis: np.clip(ROUNDINGS[rounding](place), 0, sizes[axis] - 1).astype(np.int64)
        for axis, place in places.items()
    }
    return taken_places(x, rounded)


def onnx_places(inputs: Sequence[Any], attributes: Attributes) -> dict[int, np.ndarray]:
    """By axis, where in the input each element of the result lies."""
    sizes = shape_of(inputs[0])
    old = len(inputs) <= 2  # Upsample and Resize of opset 10 have the scales as second input
    scales = given(inputs, 1 if old else 2, "scales", attributes) or None
    wanted = numbers(inputs, 3, "sizes") or None
    axes = [axis % len(sizes) for axis in attributes.get("axes", range(len(sizes)))]
    if scales is None and wanted is None:
        raise ValueError("it has neither scales nor sizes")
    coordinates = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    policy = attributes.get("keep_aspect_ratio_policy", b"stretch").decode()
    if wanted and policy != "stretch":
        ratios = [n / sizes[axis] for n, axis in zip(wanted, axes, strict=True)]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        wanted, scales = [floor(ratio * sizes[axis] + 0.5) for axis in axes], [ratio] * len(axes)
    places = {}
    for index, axis in enumerate(axes):
        size = sizes[axis]
        scale = scales[index] if scales else wanted[index] / size  # type: ignore[index]
        count = int(wanted[index]) if wanted else floor(size * np.float32(scale))
        places[axis] = onnx_axis(size, count, scale, "asymmetric" if old else coordinates)
    return places


def onnx_axis(size: int, count: int, scale: float, coordinates: str) -> np.ndarray:
    """The source of each of ``count`` elements, in float32 as onnxruntime computes it."""
    one, half, s = np.float32(1), np.float32(0.5), np.float32(scale)
    i = np.arange(count, dtype=np.float32)
    if coordinates == "asymmetric":
        x = i / s
    elif coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and count > 1):
        x = (i + half) / s - half
    elif coordinates == "half_pixel_symmetric":
        adjustment = np.float32(count) / (s * np.float32(size))
        center = np.float32(size) / np.float32(2)
        x = center * (one - adjustment) + (i + half) / s - half
    elif coordinates == "pytorch_half_pixel":
        x = np.zeros_like(i)
    elif coordinates == "align_corners":
        x = i * np.float32(size - 1) / np.float32(count - one) if count > 1 else np.zeros_like(i)
    else:
        raise ValueError(f"coordinate_transformation_mode {coordinates}")
    return i if scale == 1 else x


def tflite_nearest(converter: Any, operator: Any) -> list[Any]:
    x, found = operand(converter, operator, 0), options(operator, "ResizeNearestNeighborOptions")
    places = tflite_places(converter, operator, x, found, 0.5 if found.HalfPixelCenters() else 0.0)
    return [nearest(x, places, "round_prefer_ceil" if found.AlignCorners() else "floor")]


def tflite_linear(converter: Any, operator: Any) -> list[Any]:
    x, found = real(converter, operator, 0), options(operator, "ResizeBilinearOptions")
    x = converter.bb.emit(x)
    half = 0.5 if found.HalfPixelCenters() else 0.0
    places = tflite_places(converter, operator, x, found, half)
    moved = {axis: place - np.float32(half) for axis, place in places.items()}
    return quantized(converter, operator, converter.bb.emit(between_places(x, moved)))


def tflite_places(
    converter: Any, operator: Any, x: Any, found: Any, offset: float
) -> dict[int, np.ndarray]:
    """(i + offset) * scale of rows and columns, in float32 as LiteRT computes it."""
    wanted = constant(converter, operator, 1, "size").reshape(-1).tolist()
    places = {}
    for axis, count in zip((1, 2), wanted, strict=True):
        size, less = np.float32(shape_of(x)[axis]), np.float32(1)
        scale = size / np.float32(count)
        if found.AlignCorners() and count > 1:
            scale = (size - less) / np.float32(count - 1)
        places[axis] = (np.arange(count, dtype=np.float32) + np.float32(offset)) * scale
    return places


RULES = Rules(
    onnx={
        "Resize": Onnx(onnx_resize, keeps_scale=True),
        "Upsample": Onnx(onnx_resize, keeps_scale=True),
    },
    tflite={
        "RESIZE_BILINEAR": Tflite(tflite_linear),
        "RESIZE_NEAREST_NEIGHBOR": Tflite(tflite_nearest),
    },
)
