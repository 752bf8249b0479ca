# SPDX-License-Identifier: Apache-2.0
"""One copy per input and turn of the axes before."""

from __future__ import annotations

from math import prod

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.concat import Concat


def lower(op: Concat, shapes: Shapes, constants: Constants) -> TirKernel:
    runs = [prod(shape[op.axis :]) for shape in shapes]

    def body(moves: tir.Moves) -> None:
        with moves.repeat(prod(shapes[0][: op.axis])) as turn:
            start = 0
            for source, run in enumerate(runs):
                moves.copy(turn * sum(runs) + start, source, turn * run, run)
                start += run

    sizes = [prod(shape) for shape in (*shapes, op.output_shape(*shapes))]
    arguments = (*(f"x{i}" for i in range(len(shapes))), "y")
    return TirKernel(tir.moves(sizes, body), arguments, {})


VARIANT = Variant("plain", lower)
