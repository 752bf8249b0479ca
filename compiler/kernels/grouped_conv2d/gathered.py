# SPDX-License-Identifier: Apache-2.0
"""All groups of a tile of pixels are gathered, then multiplied group by group."""

from __future__ import annotations

from typing import Any

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.overlap import tile_overlap
from tinytailor.compiler.kernels.bricks.patches import Patches, patch_kernel
from tinytailor.compiler.ops.grouped_conv2d import GroupedConv2d
from tinytailor.compiler.ops.window import Pair


def patches(op: GroupedConv2d, shapes: Shapes) -> Patches:
    _, oh, ow, oc = op.output_shape(*shapes)
    channels = shapes[0][3] // op.groups
    return Patches((oh, ow), op.groups, oc // op.groups, op.window.kernel, channels)


def kernel(op: GroupedConv2d, shapes: Shapes, constants: Constants, tile: Pair) -> TirKernel:
    sizes = patches(op, shapes)
    _, oh, ow, oc = op.output_shape(*shapes)
    channels = sizes.channels
    x = te.placeholder(shapes[0], "int8", name="x0")
    at = tir.padded(x, op.window.padding, tir.border(op.input_zero_point, "int16"), "int16")
    run = op.window.kernel[1] * channels

    def gather(h: Any, _: Any, v: Any, g: Any, k: Any, number: Any) -> Any:
        return at(
            h * op.window.stride[0] + (k // run) * op.window.dilation[0],
            v * op.window.stride[1] + (k % run) // channels * op.window.dilation[1],
            g * channels + k % channels,
        )

    overlap = {0: tile_overlap(shapes[0], (oh, ow, oc), tile[0], op.window)}
    return patch_kernel(sizes, (x,), gather, constants, op.requant, overlap, tile)
