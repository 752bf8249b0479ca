# SPDX-License-Identifier: Apache-2.0
"""The program that TVM lowers the operators of the model to, scheduled as it is."""

from __future__ import annotations

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.float_program import scheduled
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.float_op import FloatOp


def lower(op: FloatOp, shapes: Shapes, constants: Constants) -> TirKernel:
    names = (*(f"x{i}" for i in range(len(shapes))), *constants, "y")
    return TirKernel(scheduled(op.program), names, dict(constants))


VARIANT = Variant("plain", lower)
