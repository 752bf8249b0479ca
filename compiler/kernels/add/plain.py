# SPDX-License-Identifier: Apache-2.0
"""One loop of kernels/bricks/broadcast.py."""

from __future__ import annotations

from functools import partial

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.addition import sum_of
from tinytailor.compiler.kernels.bricks.broadcast import of_tensors
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.add import Add


def lower(op: Add, shapes: Shapes, constants: Constants) -> TirKernel:
    return of_tensors(shapes, partial(sum_of, op))


VARIANT = Variant("plain", lower)
