# SPDX-License-Identifier: Apache-2.0
"""Where each tap of a pixel lies is found once for all its channels, then all are gathered."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import overlap_distance
from tinytailor.compiler.kernels.bricks.patches import Patches, Prepared, patch_kernel
from tinytailor.compiler.ops.deform_conv2d import DeformConv2d
from tinytailor.compiler.ops.window import Pair


def patches(op: DeformConv2d, shapes: Shapes) -> Patches:
    _, oh, ow, oc = op.output_shape(*shapes)
    channels = shapes[0][3] // op.groups
    return Patches((oh, ow), op.groups, oc // op.groups, op.window.kernel, channels)


def kernel(op: DeformConv2d, shapes: Shapes, constants: Constants, tile: Pair) -> TirKernel:
    sizes = patches(op, shapes)
    _, height, width, depth = shapes[0]
    channels, taps = sizes.channels, op.window.taps
    x = te.placeholder(shapes[0], "int8", name="x0")
    offset = te.placeholder(shapes[1], "int8", name="x1")
    pixels = te.placeholder((256,), "int16", name="pixels")

    def coordinate(h: Any, v: Any, n: Any) -> Any:
        """Row (n even) or column (n odd) under tap n / 2 of all offset groups."""
        tap = n // 2 % taps
        row = (
            h * op.window.stride[0]
            + tap // op.window.kernel[1] * op.window.dilation[0]
            - op.window.padding[0]
        )
        column = (
            v * op.window.stride[1]
            + tap % op.window.kernel[1] * op.window.dilation[1]
            - op.window.padding[1]
        )
        moved = pixels[tir.int32(offset[0, h, v, n]) + 128]
        return tirx.Select(n % 2 == 0, row, column) + tir.int32(moved)

    def gather(h: Any, r: Any, v: Any, g: Any, k: Any, number: Any) -> Any:
        channel = g * channels + k % channels
        place = channel // (depth // op.offset_groups) * taps + k // channels
        row, column = number(2 * place), number(2 * place + 1)
        inside = tir.inside(row, column, height, width)
        border = tir.border(op.input_zero_point, "int16")
        return tirx.if_then_else(inside, x[0, row, column, channel].astype("int16"), border)

    prepared = Prepared(shapes[1][3], coordinate)
    overlap = {1: _offset_overlap(op, shapes, tile[0])}
    reads = (x, offset, pixels)
    return patch_kernel(sizes, reads, gather, constants, op.requant, overlap, tile, prepared)


def _offset_overlap(op: DeformConv2d, shapes: Shapes, p: int) -> int:
    """The offsets of p pixels are read, then the pixels are written; taps may lie anywhere."""
    _, oh, ow, oc = op.output_shape(*shapes)
    tiles = np.arange(0, oh * ow, p)
    written = np.minimum(tiles + p, oh * ow) * oc
    return overlap_distance(tiles * shapes[1][3], written)
