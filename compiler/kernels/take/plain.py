# SPDX-License-Identifier: Apache-2.0
"""Loops over the output; what lies behind the last table is copied in one piece."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from tvm import te

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir, views
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.take import Take


def lower(op: Take, shapes: Shapes, constants: Constants) -> TirKernel:
    tail = op.axes[-1] + 1
    shape = (*shapes[0][:tail], prod(shapes[0][tail:]))
    x = te.placeholder(shape, "int8", name="x")
    tables = {
        axis: te.placeholder((size,), "int16", name=f"index{axis}")
        for axis, size in zip(op.axes, op.sizes, strict=True)
    }

    def source(*places: Any) -> Any:
        looked_up = (
            tir.int32(tables[axis][place]) if axis in tables else place
            for axis, place in enumerate(places)
        )
        return x[tuple(looked_up)]

    sizes = op.output_shape(*shapes)
    y = te.compute((*sizes[:tail], shape[-1]), source, name="y")
    schedule = tir.schedule_of((x, *tables.values(), y))
    places = np.arange(prod(shapes[0]), dtype=np.int64).reshape(shapes[0])
    reads = op.reference((places,), constants).reshape(-1, shape[-1])[:, 0]
    arguments = ("x0", *constants, "y")
    overlap = views.run_overlap(reads, shape[-1])
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap=overlap)


VARIANT = Variant("plain", lower)
