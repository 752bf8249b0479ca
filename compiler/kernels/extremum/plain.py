# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.broadcast import of_tensors
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.extremum import Extremum


def lower(op: Extremum, shapes: Shapes, constants: Constants) -> TirKernel:
    pick = tirx.max if op.largest else tirx.min

    def extreme(a: Any, b: Any) -> Any:
        value = pick(tir.int32(a), tir.int32(b))
        return tir.clamped(value, op.low, op.high).astype("int8")

    return of_tensors(shapes, extreme)


VARIANT = Variant("plain", lower)
