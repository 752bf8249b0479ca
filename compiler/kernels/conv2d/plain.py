# SPDX-License-Identifier: Apache-2.0
"""Pixel by pixel and channel by channel, in plain C; weights of any width."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.conv2d import gathered
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.conv2d import Conv2d


def lower(op: Conv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    packed = {
        "weight": constants["weight"].reshape(op.out_channels, -1),
        "bias": constants["bias"],
        "multiplier": constants["multiplier"],
    }
    return gathered.kernel(op, shapes, packed, (1, 1), None)


VARIANT = Variant("plain", lower)
