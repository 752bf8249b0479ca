# SPDX-License-Identifier: Apache-2.0
"""Shape arithmetic of sliding windows over NHWC maps, and the windows themselves for references."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.targets.errors import InputError

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right (TVM's order)
NO_PADDING = (0, 0, 0, 0)


def padding4(value: Iterable[Any]) -> Padding:
    top, left, bottom, right = map(int, value)
    return top, left, bottom, right


def widened(padding: Padding, by: Padding) -> Padding:
    top, left, bottom, right = (a + b for a, b in zip(padding, by, strict=True))
    return top, left, bottom, right


def output_size(
    kind: str, x: Shape, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Pair:
    """(height, width) of the output, or InputError when the window does not fit."""
    if len(x) != 4 or x[0] != 1:
        raise InputError(f"{kind}: input shape {x}, expected (1, height, width, channels)")
    sizes = []
    for axis in (0, 1):
        padded = x[1 + axis] + padding[axis] + padding[axis + 2]
        window = dilation[axis] * (kernel[axis] - 1) + 1
        if padded < window:
            raise InputError(
                f"{kind}: kernel {kernel} with dilation {dilation} is larger than the padded input "
                f"{x[1:3]} + padding {padding}"
            )
        sizes.append((padded - window) // stride[axis] + 1)
    return sizes[0], sizes[1]


def windows(
    x: np.ndarray, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, fill: int
) -> np.ndarray:
    """(N, H, W, C) to (N, OH, OW, KH, KW, C): every window, the border filled with ``fill``."""
    top, left, bottom, right = padding
    padded = np.pad(
        x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=x.dtype.type(fill)
    )
    oh, ow = output_size("windows", (1, *x.shape[1:]), kernel, stride, padding, dilation)
    rows = np.arange(oh)[:, None] * stride[0] + np.arange(kernel[0])[None, :] * dilation[0]
    columns = np.arange(ow)[:, None] * stride[1] + np.arange(kernel[1])[None, :] * dilation[1]
    return padded[:, rows[:, None, :, None], columns[None, :, None, :], :]


def sampled(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: int) -> np.ndarray:
    """The pixels of (N, H, W, C) at places (N, ...): (N, ..., C), ``fill`` outside the map."""
    height, width = x.shape[1:3]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image = np.arange(len(x)).reshape(-1, *(1,) * (rows.ndim - 1))
    pixels = x[image, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    return np.where(inside[..., None], pixels, x.dtype.type(fill))
