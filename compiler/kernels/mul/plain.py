# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import of_tensors
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.mul import Mul


def lower(op: Mul, shapes: Shapes, constants: Constants) -> TirKernel:
    def product(a: Any, b: Any) -> Any:
        left = tir.int32(a) - tir.parameter("left_zero_point", op.left_zero_point)
        right = tir.int32(b) - tir.parameter("right_zero_point", op.right_zero_point)
        multiplier = tir.parameter("multiplier", op.multiplier)
        return tir.requantize(left * right, multiplier, op.requant)

    return of_tensors(shapes, product)


VARIANT = Variant("plain", lower)
