# SPDX-License-Identifier: Apache-2.0
"""The sum of two int8 elements as TIR: of an addition, and of one that a convolution has taken in.

y = clamp(((b * right + (a * left + offset)) >> shift) + zero_point, low, high)
"""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.ops.add import Add


def sum_of(op: Add, a: Any, b: Any) -> Any:
    """``op`` of two elements. The offset holds the zero point, if it can."""
    first = tir.int32(a) * tir.parameter("left", op.left) + tir.parameter("offset", op.offset)
    second = tir.int32(b) * tir.parameter("right", op.right)
    value = (second + first) >> tir.parameter("right_shift", op.shift)
    if op.wide:
        value = value + tir.parameter("sum_zero_point", op.zero_point)
    return tir.clamped(value, op.low, op.high, "sum_").astype("int8")
