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


def overlap_distance(first_read: np.ndarray, written: np.ndarray) -> int:
    """How many bytes before its input an output must start to be written over it.

    An operator works in steps. Step k reads no input byte below ``first_read[k]`` and has, at its
    end, written the output up to ``written[k]``; within a step all reads come first. Nothing that a
    later step still reads may have been written.
    """
    later = np.minimum.accumulate(first_read[::-1])[::-1][1:]
    return max(0, int(np.max(written[:-1] - later, initial=0)))


def first_reads(
    x: Shape, pixels: np.ndarray, width: int, stride: Pair, padding: Padding
) -> np.ndarray:
    """Lowest input byte of the windows of these output pixels, numbered along rows of ``width``."""
    rows = np.maximum(pixels // width * stride[0] - padding[0], 0)
    columns = np.maximum(pixels % width * stride[1] - padding[1], 0)
    return (rows * x[2] + columns) * x[3]


def window_overlap(x: Shape, output: Pair, stride: Pair, padding: Padding) -> int:
    """``overlap_distance`` where each output element is written once its window has been read.

    Within a pixel, channel after channel, reading stays ahead of writing wherever it does so from
    pixel to pixel: pixel k + 1 must not be reached before it is read, and neither must be pixel k.
    """
    pixels = np.arange(output[0] * output[1])
    return overlap_distance(first_reads(x, pixels, output[1], stride, padding), (pixels + 1) * x[3])


def tile_overlap(
    x: Shape, output: tuple[int, int, int], p: int, stride: Pair, padding: Padding
) -> int:
    """``overlap_distance`` where tiles of p pixels are read, then written with all channels."""
    height, width, channels = output
    tiles = np.arange(0, height * width, p)
    written = np.minimum(tiles + p, height * width) * channels
    reads = first_reads(x, tiles, width, stride, padding)
    if p > 1:  # the last pixels of a tile may lie in the next row, further left
        last = np.minimum(tiles + p - 1, height * width - 1)
        reads = np.minimum(reads, first_reads(x, last, width, stride, padding))
    return overlap_distance(reads, written)
