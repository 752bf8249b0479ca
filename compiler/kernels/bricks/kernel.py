# SPDX-License-Identifier: Apache-2.0
"""What a kernel variant lowers an operator to: scheduled TIR, and all that is known beside it.

Layout of constants and how far an output may lie over an input are declared here and nowhere else,
so that the planner and the tables need not know operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """A registered TensorIntrin: its TVM name and the C function it calls."""

    name: str
    function: str
    text: str


@dataclass(frozen=True, slots=True)
class Sliding:
    """Buffer ``name`` holds ``rows`` rows at the top of each turn of a loop, the last ``rows -
    step`` of which the next turn needs again: they move up, and ``step`` new ones are fetched."""

    name: str
    rows: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class TirKernel:
    """A scheduled PrimFunc; ``arguments`` names its parameters: x0, x1, a role, and last y."""

    func: Any
    arguments: tuple[str, ...]
    constants: Mapping[str, np.ndarray]  # role -> array as it lies in flash
    intrinsics: tuple[Intrinsic, ...] = ()
    # Input -> bytes that the output must start before it, or more, to be written over it.
    overlap: Mapping[int, int] = field(default_factory=dict)
    sliding: Sliding | None = None
