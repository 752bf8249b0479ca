# SPDX-License-Identifier: Apache-2.0
"""A kernel variant, one way to compute an operator, and the choice of one as a value.

    Variant   its name, where it applies, its knobs, and what it lowers to
    Choice    the name of a variant and a value for each of its knobs

Names are ``plain`` for what is plain C, else the instruction set and what its block computes:
``dsp_tile``, ``mve_dot``. Whether a variant applies follows from what an OpKey holds, attributes
and shapes, and never from constants: all operators of a key have one kernel.
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
    """What tables, manifests and tuners say of a kernel."""

    variant: str
    knobs: tuple[tuple[str, int], ...] = ()  # in the order in which the variant declares them


def fits_all(op: Any, shapes: Shapes) -> str:
    """The ``misfit`` of a variant that computes every operator of its kind."""
    return ""


@dataclass(frozen=True, slots=True)
class Variant:
    """``lower(op, input shapes, constants, *knobs)``: the kernel, its constants as they lie in
    flash.

    ``misfit(op, input shapes)``: why it cannot compute that operator, "" if it can.
    ``knobs``: name -> the values it may have, the one that is taken untuned first.
    """

    name: str
    lower: Callable[..., TirKernel]
    isas: tuple[Isa, ...] = EVERYWHERE
    misfit: Callable[[Any, Shapes], str] = fits_all
    knobs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def untuned(self) -> Choice:
        return Choice(self.name, tuple((name, values[0]) for name, values in self.knobs.items()))
