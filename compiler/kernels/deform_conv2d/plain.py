# SPDX-License-Identifier: Apache-2.0
"""Pixel by pixel and channel by channel, in plain C."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.bricks.patches import PLAIN
from tinytailor.compiler.kernels.deform_conv2d import gathered
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.deform_conv2d import DeformConv2d


def lower(op: DeformConv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    return gathered.kernel(op, shapes, constants, PLAIN)


VARIANT = Variant("plain", lower)
