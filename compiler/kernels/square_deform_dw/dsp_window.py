# SPDX-License-Identifier: Apache-2.0
"""Four channels of the gathered window at a time, where they divide evenly."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.isa import dsp
from tinytailor.compiler.kernels.square_deform_dw import gathered
from tinytailor.compiler.kernels.variant import DSP, Variant
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW


def lower(op: SquareDeformDW, shapes: Shapes, constants: Constants) -> TirKernel:
    channels = shapes[0][3]
    block = dsp.depthwise_block((3, 3), 3 * channels, channels, channels)
    return gathered.kernel(op, shapes, constants, dsp.WINDOW_CHANNELS, block)


def limits(op: SquareDeformDW, shapes: Shapes) -> str:
    if shapes[0][3] % dsp.WINDOW_CHANNELS:
        return f"takes channels in fours, not {shapes[0][3]}"
    return ""


VARIANT = Variant("dsp_window", lower, DSP, limits)
