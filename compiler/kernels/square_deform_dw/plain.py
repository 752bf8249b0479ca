# SPDX-License-Identifier: Apache-2.0
"""Channel by channel, in plain C."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.square_deform_dw import gathered
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW


def lower(op: SquareDeformDW, shapes: Shapes, constants: Constants) -> TirKernel:
    return gathered.kernel(op, shapes, constants)


VARIANT = Variant("plain", lower)
