# SPDX-License-Identifier: Apache-2.0
"""A kernel variant, one way to compute an operator, and the choice of one as a value.

    Variant   its name, where it fits, its knobs, and what it lowers to
    Choice    the name of a variant and a value for each of its knobs

A name is ``plain`` for plain C, else the instruction set and what its block of assembly computes:
``dsp_tile``, ``mve_dot``. Whether a variant fits follows from what an OpKey holds, attributes and
shapes, and never from constants: all operators of a key have one kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinytailor.compiler.ir import Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.targets import Isa

EVERYWHERE = tuple(Isa)
DSP = (Isa.DSP, Isa.MVE)  # MVE comes with the DSP extension
MVE = (Isa.MVE,)


@dataclass(frozen=True, slots=True)
class Choice:
    """What tables, manifests and tuners say of a kernel; ``knobs`` in the order of its variant."""

    variant: str
    knobs: tuple[tuple[str, int], ...] = ()


def fits_all(op: Any, shapes: Shapes) -> str:
    """The limits of a variant that computes every operator of its kind."""
    return ""


@dataclass(frozen=True, slots=True)
class Variant:
    """``lower(op, input shapes, constants, *values of the knobs)`` returns the scheduled TIR with
    its constants as they lie in flash.

    ``isas``: the instruction sets that have it, the least first.
    ``limits(op, input shapes)``: why it cannot compute that operator, "" if it can.
    ``knobs``: name -> the values it may have, first the one that is taken untuned.
    """

    name: str
    lower: Callable[..., TirKernel]
    isas: tuple[Isa, ...] = EVERYWHERE
    limits: Callable[[Any, Shapes], str] = fits_all
    knobs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def misfit(self, op: Any, shapes: Shapes, isa: str) -> str:
        """Why it does not compute ``op`` on these shapes with ``isa``, "" if it does."""
        if isa not in self.isas:
            return f"needs {' or '.join(self.isas)}"
        return self.limits(op, shapes)

    @property
    def untuned(self) -> Choice:
        return Choice(self.name, tuple((name, values[0]) for name, values in self.knobs.items()))
