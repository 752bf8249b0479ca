# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import with_constants
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.prelu import PRelu


def lower(op: PRelu, shapes: Shapes, constants: Constants) -> TirKernel:
    def scaled(a: Any, negative: Any) -> Any:
        steps = tir.int32(a) - tir.parameter("input_zero_point", op.input_zero_point)
        below = steps < tir.const(0)
        factor = tirx.Select(below, negative, tir.parameter("positive", op.positive))
        rounded = steps * factor + tir.parameter("half", 1 << (op.shift - 1))
        value = rounded >> tir.parameter("shift", op.shift)
        value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    return with_constants(shapes[0], op.shape, ("negative",), constants, scaled)


VARIANT = Variant("plain", lower)
