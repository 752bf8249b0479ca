# SPDX-License-Identifier: Apache-2.0
"""The units of the engine, in the order in which a map streams through them: a folder each, with
its checks, its descriptor and weights, its cycles and area, its meaning in numpy, and its HLS.

A new unit is a folder and a line here; top.cpp, which joins the stages, and memory.hpp, which loads
their weights, call it.
"""

from __future__ import annotations

from tinytailor.compiler.fpga.units.base import Unit
from tinytailor.compiler.fpga.units.pointwise import Pointwise
from tinytailor.compiler.fpga.units.square_deform import SquareDeform
from tinytailor.compiler.ir import Node

UNITS: tuple[Unit, ...] = (Pointwise(), SquareDeform())


def unit_of(node: Node) -> Unit | None:
    """The unit that computes nodes of this kind."""
    return next((unit for unit in UNITS if unit.kind == node.op.kind), None)


__all__ = ["UNITS", "Unit", "unit_of"]
