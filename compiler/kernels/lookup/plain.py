# SPDX-License-Identifier: Apache-2.0
"""One loop over the elements; each is read before it is written, over it if need be."""

from __future__ import annotations

from math import prod

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.lookup import Lookup


def lower(op: Lookup, shapes: Shapes, constants: Constants) -> TirKernel:
    size = (prod(shapes[0]),)
    x = te.placeholder(size, "int8", name="x")
    table = te.placeholder((256,), "int8", name="table")
    y = te.compute(size, lambda i: table[tir.int32(x[i]) + tir.const(128)], name="y")
    schedule = tir.schedule_of((x, table, y))
    arguments = ("x0", "table", "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})


VARIANT = Variant("plain", lower)
