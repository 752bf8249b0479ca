# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import of_tensors
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.squared_difference import SHIFT, SquaredDifference


def lower(op: SquaredDifference, shapes: Shapes, constants: Constants) -> TirKernel:
    def square(a: Any, b: Any) -> Any:
        left = tir.int32(a) * tir.parameter("left", op.left) + tir.parameter("bias", op.bias)
        right = tir.int32(b) * tir.parameter("right", op.right)
        difference = (left + right) >> SHIFT
        multiplier = tir.parameter("multiplier", op.multiplier)
        return tir.requantize(difference * difference, multiplier, op.requant)

    return of_tensors(shapes, square)


VARIANT = Variant("plain", lower)
