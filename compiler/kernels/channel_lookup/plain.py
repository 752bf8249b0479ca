# SPDX-License-Identifier: Apache-2.0
"""One loop over pixels and their channels; each element is read before it is written over."""

from __future__ import annotations

from math import prod

from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.channel_lookup import ChannelLookup


def lower(op: ChannelLookup, shapes: Shapes, constants: Constants) -> TirKernel:
    *outer, channels = shapes[0]
    sizes = (prod(outer), channels)
    x = te.placeholder(sizes, "int8", name="x")
    table = te.placeholder((channels, 256), "int8", name="table")
    y = te.compute(sizes, lambda p, c: table[c, tir.int32(x[p, c]) + tir.const(128)], name="y")
    schedule = tir.schedule_of((x, table, y))
    arguments = ("x0", "table", "y")
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})


VARIANT = Variant("plain", lower)
