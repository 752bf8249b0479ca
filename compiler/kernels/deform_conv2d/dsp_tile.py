# SPDX-License-Identifier: Apache-2.0
"""Tiles of pixels and channels of a group with SMLAD."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.patches import block_limits
from tinytailor.compiler.kernels.deform_conv2d import gathered
from tinytailor.compiler.kernels.variant import DSP, Variant
from tinytailor.compiler.ops.deform_conv2d import DeformConv2d


def lower(op: DeformConv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    return gathered.kernel(op, shapes, constants, gathered.patches(op, shapes).tile)


def limits(op: DeformConv2d, shapes: Shapes) -> str:
    return block_limits(gathered.patches(op, shapes))


VARIANT = Variant("dsp_tile", lower, DSP, limits)
