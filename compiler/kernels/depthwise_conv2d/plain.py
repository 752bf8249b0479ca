# SPDX-License-Identifier: Apache-2.0
"""Channel by channel, in plain C; weights of any width."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.depthwise_conv2d import rows
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d


def lower(op: DepthwiseConv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    return rows.kernel(op, shapes, constants)


VARIANT = Variant("plain", lower)
