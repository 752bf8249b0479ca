# SPDX-License-Identifier: Apache-2.0
"""Four channels of a window at a time, where they divide evenly."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.depthwise_conv2d import rows
from tinytailor.compiler.kernels.isa import dsp
from tinytailor.compiler.kernels.variant import DSP, Variant
from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d


def lower(op: DepthwiseConv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    channels = shapes[0][3]
    block = dsp.depthwise_block(op.window.kernel, rows.row_bytes(op, shapes[0]), channels, channels)
    return rows.kernel(op, shapes, constants, dsp.WINDOW_CHANNELS, block)


def limits(op: DepthwiseConv2d, shapes: Shapes) -> str:
    if shapes[0][3] % dsp.WINDOW_CHANNELS:
        return f"takes channels in fours, not {shapes[0][3]}"
    return rows.block_limits(op)


VARIANT = Variant("dsp_window", lower, DSP, limits)
