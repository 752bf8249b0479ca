# SPDX-License-Identifier: Apache-2.0
"""Pieces by leading zeros, which these cores count in one instruction."""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.compand.pieces import PIECES, Pieces, lowered
from tinytailor.compiler.kernels.variant import DSP, Variant
from tinytailor.compiler.ops.compand import Compand

# Leading zeros are 32 - bits of a, 16 at least.
BY_ZEROS = Pieces(tir.zeros, PIECES - 1 - np.arange(PIECES), first=16, together=2)


def lower(op: Compand, shapes: Shapes, constants: Constants) -> TirKernel:
    return lowered(op, shapes, constants, BY_ZEROS)


VARIANT = Variant("dsp_octave", lower, isas=DSP)
