# SPDX-License-Identifier: Apache-2.0
"""How far an output may lie over an input: the distance that a kernel declares of itself.

input        |--------------------------|
output   |----------------|                 d bytes before it: what is still read stays
         <-d->
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.window import Pair, Window


def overlap_distance(first_read: np.ndarray, written: np.ndarray) -> int:
    """How many bytes before its input an output must start to be written over it.

    An operator works in steps. Step k reads no input byte below ``first_read[k]`` and has, at its
    end, written the output up to ``written[k]``; within a step all reads come first. Nothing that a
    later step still reads may have been written.
    """
    later = np.minimum.accumulate(first_read[::-1])[::-1][1:]
    return max(0, int(np.max(written[:-1] - later, initial=0)))


def first_reads(x: Shape, pixels: np.ndarray, width: int, window: Window) -> np.ndarray:
    """Lowest input byte of the windows of these output pixels, numbered along rows of ``width``."""
    (down, right), (top, left, *_) = window.stride, window.padding
    rows = np.maximum(pixels // width * down - top, 0)
    columns = np.maximum(pixels % width * right - left, 0)
    return (rows * x[2] + columns) * x[3]


def window_overlap(x: Shape, output: Pair, window: Window) -> int:
    """``overlap_distance`` where each output element is written once its window has been read.

    Within a pixel, channel after channel, reading stays ahead of writing wherever it does so from
    pixel to pixel: pixel k + 1 must not be reached before it is read, and neither must be pixel k.
    """
    pixels = np.arange(output[0] * output[1])
    return overlap_distance(first_reads(x, pixels, output[1], window), (pixels + 1) * x[3])


def tile_overlap(x: Shape, output: tuple[int, int, int], p: int, window: Window) -> int:
    """``overlap_distance`` where tiles of p pixels are read, then written with all channels."""
    height, width, channels = output
    tiles = np.arange(0, height * width, p)
    written = np.minimum(tiles + p, height * width) * channels
    reads = first_reads(x, tiles, width, window)
    if p > 1:  # the last pixels of a tile may lie in the next row, further left
        last = np.minimum(tiles + p - 1, height * width - 1)
        reads = np.minimum(reads, first_reads(x, last, width, window))
    return overlap_distance(reads, written)


def elementwise_overlap(inputs: Sequence[Shape], output: Shape) -> Mapping[int, int]:
    """Each element is read before it is written, over an input that is not repeated."""
    return {index: 0 for index, shape in enumerate(inputs) if shape == output}
