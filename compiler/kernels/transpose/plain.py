# SPDX-License-Identifier: Apache-2.0
"""The output is written from front to back; what is contiguous is copied in one piece."""

from __future__ import annotations

from math import prod

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir, views
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.transpose import Transpose


def lower(op: Transpose, shapes: Shapes, constants: Constants) -> TirKernel:
    strides = views.row_strides(shapes[0])
    sizes = op.output_shape(*shapes)
    view = views.View(0, sizes, tuple(strides[axis] for axis in op.axes))
    func = tir.moves((prod(sizes), prod(sizes)), views.body(view))
    return TirKernel(func, ("x0", "y"), {})


VARIANT = Variant("plain", lower)
