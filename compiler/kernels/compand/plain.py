# SPDX-License-Identifier: Apache-2.0
"""Pieces by a product that tells octaves apart, for cores that do not count leading zeros.

The bits below the highest of a are set, which leaves 2^e - 1; the upper five bits of its product
with HASH are another number for each e, and pieces lie where that says.
"""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.compand.pieces import PIECES, Pieces, lowered
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.compand import Compand

HASH = 0x195A8363  # found by trying: 17 places among the first 24
TOP = 27
BY_HASH = Pieces(
    lambda a: tir.int32(tir.smeared(a) * tir.const(HASH, "uint32") >> tir.const(TOP, "uint32")),
    ((1 << np.arange(PIECES)) - 1) * HASH % (1 << 32) >> TOP,
)


def lower(op: Compand, shapes: Shapes, constants: Constants) -> TirKernel:
    return lowered(op, shapes, constants, BY_HASH)


VARIANT = Variant("plain", lower)
