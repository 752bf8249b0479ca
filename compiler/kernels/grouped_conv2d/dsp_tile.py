# SPDX-License-Identifier: Apache-2.0
"""Tiles of pixels and channels of a group with SMLAD."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.patches import block_limits
from tinytailor.compiler.kernels.grouped_conv2d import gathered
from tinytailor.compiler.kernels.variant import DSP, Variant
from tinytailor.compiler.ops.grouped_conv2d import GroupedConv2d


def lower(op: GroupedConv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    return gathered.kernel(op, shapes, constants, gathered.patches(op, shapes).tile)


def limits(op: GroupedConv2d, shapes: Shapes) -> str:
    return block_limits(gathered.patches(op, shapes))


VARIANT = Variant("dsp_tile", lower, DSP, limits)
