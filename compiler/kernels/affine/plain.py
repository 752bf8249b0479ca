# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import with_constants
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.affine import Affine


def lower(op: Affine, shapes: Shapes, constants: Constants) -> TirKernel:
    def total(a: Any, left: Any, bias: Any) -> Any:
        value = (tir.int32(a) * left + bias) >> tir.parameter("shift", op.shift)
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    return with_constants(shapes[0], op.shape, ("left", "bias"), constants, total)


VARIANT = Variant("plain", lower)
