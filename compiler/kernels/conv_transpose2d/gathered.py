# SPDX-License-Identifier: Apache-2.0
"""Tiles of output pixels that share their taps; see ``Patches``.

Every parity of (row, column) has a small kernel of its own: every s-th tap of the whole one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te, tirx

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import overlap_distance
from tinytailor.compiler.kernels.bricks.patches import Patches, patch_kernel
from tinytailor.compiler.ops.conv_transpose2d import ConvTranspose2d
from tinytailor.compiler.ops.window import Pair


def patches(op: ConvTranspose2d, shapes: Shapes) -> Patches:
    _, oh, ow, oc = op.output_shape(*shapes)
    channels = shapes[0][3] // op.groups
    return Patches((oh, ow), op.groups, oc // op.groups, _taps(op), channels, op.window.stride)


def kernel(op: ConvTranspose2d, shapes: Shapes, constants: Constants, tile: Pair) -> TirKernel:
    sizes = patches(op, shapes)
    _, height, width, _ = shapes[0]
    channels, run = sizes.channels, sizes.taps[1] * sizes.channels
    x = te.placeholder(shapes[0], "int8", name="x0")
    top, left = op.window.padding[:2]

    def gather(h: Any, r: Any, v: Any, g: Any, k: Any, number: Any) -> Any:
        row = (h + top) // op.window.stride[0] - k // run
        column = v + (r + left) // op.window.stride[1] - (k % run) // channels
        inside = tir.inside(row, column, height, width)
        value = x[0, row, column, g * channels + k % channels].astype("int16")
        return tirx.if_then_else(inside, value, tir.border(op.input_zero_point, "int16"))

    overlap = {0: _overlap(op, shapes[0], tile[0])}
    cut = _cut(op, constants)
    return patch_kernel(sizes, (x,), gather, cut, op.requant, overlap, tile)


def _taps(op: ConvTranspose2d) -> Pair:
    """Of the small kernels."""
    return -(-op.window.kernel[0] // op.window.stride[0]), -(
        -op.window.kernel[1] // op.window.stride[1]
    )


def _cut(op: ConvTranspose2d, constants: Constants) -> Constants:
    """The constants with small kernels; their biases hold what the taps left out would add."""
    phases = _phases(op, constants["weight"]).astype(np.int64)
    parts = phases.sum(axis=(3, 4, 5)).reshape(-1, op.out_channels)
    left_out = op.input_zero_point * (parts.sum(axis=0) - parts)
    return {
        "weight": phases.astype(np.int8),
        "bias": (constants["bias"] + left_out).astype(np.int32),
        "multiplier": constants["multiplier"],
    }


def _phases(op: ConvTranspose2d, weight: np.ndarray) -> np.ndarray:
    """(O, KH, KW, C) to the small kernels, (SH, SW, O, TH, TW, C)."""
    (sh, sw), (th, tw), (top, left) = op.window.stride, _taps(op), op.window.padding[:2]
    full = np.zeros((len(weight), th * sh, tw * sw, weight.shape[3]), np.int8)
    full[:, : op.window.kernel[0], : op.window.kernel[1]] = weight
    return np.array(
        [
            [full[:, (r + top) % sh :: sh, (q + left) % sw :: sw] for q in range(sw)]
            for r in range(sh)
        ]
    )


def _overlap(op: ConvTranspose2d, shape: Shape, p: int) -> int:
    """Tiles of p output pixels of one phase are gathered, then written, row after row."""
    _, oh, ow, oc = op.output_shape(shape)
    _, _, width, channels = shape
    (sh, sw), (th, tw) = op.window.stride, _taps(op)
    if op.window.stride == (1, 1) and ow % p:  # the whole map as one line of tiles
        first = np.arange(0, oh * ow, p)
        last = np.minimum(first + p, oh * ow)
        rows, columns = first // ow, np.zeros_like(first)
    else:
        tiles = -(-ow // (p * sw))
        rows, tile, phase = (a.ravel() for a in np.indices((oh, tiles, sw)))
        last = rows * ow + np.minimum((tile * p + p - 1) * sw + phase + 1, ow)
        columns = np.maximum(tile * p + (phase + op.window.padding[1]) // sw - (tw - 1), 0)
    rows = np.maximum((rows + op.window.padding[0]) // sh - (th - 1), 0)
    reads = (rows * width + np.minimum(columns, width - 1)) * channels
    return overlap_distance(reads, np.maximum.accumulate(last) * oc)
