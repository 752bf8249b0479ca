# SPDX-License-Identifier: Apache-2.0
"""What is contiguous is copied in one piece."""

from __future__ import annotations

from math import prod

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir, views
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.slice import Slice


def lower(op: Slice, shapes: Shapes, constants: Constants) -> TirKernel:
    strides = views.row_strides(shapes[0])
    start = sum(b * s for b, s in zip(op.begin, strides, strict=True))
    view = views.View(start, op.size, strides)
    func = tir.moves((prod(shapes[0]), prod(op.size)), views.body(view))
    return TirKernel(func, ("x0", "y"), {}, overlap=views.overlap(view))


VARIANT = Variant("plain", lower)
