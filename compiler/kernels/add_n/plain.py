# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import of_tensors
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.add_n import AddN


def lower(op: AddN, shapes: Shapes, constants: Constants) -> TirKernel:
    def total(*elements: Any) -> Any:
        value = tir.parameter("offset", op.offset)
        for index, (element, factor) in enumerate(zip(elements, op.factors, strict=True)):
            value = value + tir.int32(element) * tir.parameter(f"factor{index}", factor)
        value = value >> tir.parameter("right_shift", op.shift)
        if op.wide:
            value = value + tir.parameter("zero_point", op.zero_point)
        return tir.clamped(value, op.low, op.high).astype("int8")

    return of_tensors(shapes, total)


VARIANT = Variant("plain", lower)
