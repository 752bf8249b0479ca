# SPDX-License-Identifier: Apache-2.0
"""Kernels that find something about each row of (rows, elements) before they compute its elements.

A row may be written over itself: all that is read of it to know it comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinytailor.compiler.ir import Constants
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.bricks.kernel import TirKernel


def row_by_row(
    tensors: Sequence[Any],
    arguments: tuple[str, ...],
    stages: Sequence[str],
    reduced: Sequence[str],
    constants: Constants,
    inlined: Sequence[str] = (),
) -> TirKernel:
    """``tensors``: as ``arguments`` name them, the last of them the result "y" of (rows, elements).

    ``stages``: by name, in the order in which they are computed, what is found about a row; those
    that are ``reduced`` go over its elements. ``inlined`` are computed where they are read.
    """
    schedule = tir.schedule_of(tuple(tensors))
    for name in inlined:
        schedule.compute_inline(schedule.get_sblock(name))
    row, _ = schedule.get_loops(schedule.get_sblock("y"))
    alone = int(tensors[-1].shape[0]) == 1
    for name in () if alone else reversed(stages):
        schedule.compute_at(schedule.get_sblock(name), row)
    for name in reduced:
        block = schedule.get_sblock(name)
        schedule.decompose_reduction(block, schedule.get_loops(block)[-1])
    return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap={0: 0})
