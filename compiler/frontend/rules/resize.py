# SPDX-License-Identifier: Apache-2.0
"""Resizing to nearest neighbours as the one call of selection.py: which element each one of the
result is, in the float32 arithmetic of the format's own runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.arguments import given, numbers
from tinytailor.compiler.frontend.relax_calls import shape_of
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rules, Tflite
from tinytailor.compiler.frontend.rules.selection import taken_places
from tinytailor.compiler.frontend.tflite.arguments import constant, operand, options


def onnx_resize(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
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
        places[axis] = onnx_nearest(size, count, scale, coordinates, rounding)
    return [taken_places(inputs[0], places)]


def onnx_nearest(size: int, count: int, scale: float, coordinates: str, rounding: str) -> list[int]:
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


def resize_in_float(inputs: Sequence[Any], attributes: Attributes) -> list[Any] | None:
    """The linear mode is left to TVM, whose result has no integer form."""
    linear = attributes.get("mode", b"nearest") == b"linear"
    return None if linear else onnx_resize(inputs, attributes)


def resize_nearest(converter: Any, operator: Any) -> list[Any]:
    x, found = operand(converter, operator, 0), options(operator, "ResizeNearestNeighborOptions")
    wanted = constant(converter, operator, 1, "size").reshape(-1).tolist()
    corners, centers = found.AlignCorners(), found.HalfPixelCenters()
    places: dict[int, Any] = {
        axis: tflite_nearest(size, count, corners, centers)
        for axis, size, count in zip((1, 2), shape_of(x)[1:3], wanted, strict=True)
    }
    return [taken_places(x, places)]


def tflite_nearest(size: int, count: int, corners: bool, centers: bool) -> np.ndarray:
    """The source of each of ``count`` elements, in float32 as LiteRT computes it."""
    whole = np.float32(size)
    scale = whole / np.float32(count)
    if corners and count > 1:
        scale = (whole - np.float32(1)) / np.float32(count - 1)
    x = (np.arange(count, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
    rounded = np.floor(x + np.float32(0.5)) if corners else np.floor(x)
    return np.clip(rounded, 0, size - 1).astype(np.int64)


RULES = Rules(
    onnx={"Resize": Onnx(onnx_resize, keeps_scale=True), "Upsample": Onnx(onnx_resize)},
    tflite={"RESIZE_NEAREST_NEIGHBOR": Tflite(resize_nearest)},
    onnx_in_float={"Resize": Onnx(resize_in_float, keeps_scale=True)},
)
