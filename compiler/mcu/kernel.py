# SPDX-License-Identifier: Apache-2.0
"""From one operator to one C function: the record an operator lowers to, and its printing.

A kernel takes pointers to its inputs, its output and, if it needs one, scratch memory; constants
are arrays beside it. Scratch, layout of constants and how far an output may lie over an input are
declared here and nowhere else, so that the planner and the tables need not know operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.mcu.helpers import HELPERS


@dataclass(frozen=True, slots=True, eq=False)
class TirKernel:
    """A scheduled PrimFunc; ``arguments`` names its parameters: x0, x1, a role, and last y."""

    func: Any
    arguments: tuple[str, ...]
    constants: Mapping[str, np.ndarray]  # role -> array as it lies in flash
    intrinsics: tuple[Any, ...] = ()
    # Input -> bytes that the output must start before it, or more, to be written over it.
    overlap: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The C function of one node. ``body`` knows the constants by their roles."""

    symbol: str
    body: tuple[str, ...]
    helpers: tuple[tuple[str, str], ...]  # (name, text), in order of definition
    constants: Mapping[str, np.ndarray]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    scratch_bytes: int
    overlap: Mapping[int, int]

    @property
    def constant_bytes(self) -> int:
        return sum(array.nbytes for array in self.constants.values())


def print_kernel(
    kernel: TirKernel, symbol: str, input_shapes: tuple[Shape, ...], output_shape: Shape
) -> Kernel:
    """Lower and print ``kernel`` as the C function ``symbol``."""
    from tinytailor.compiler.mcu.render import render
    from tinytailor.compiler.mcu.tir import lower

    externs = {intrinsic.function: intrinsic.function for intrinsic in kernel.intrinsics}
    rendered = render(lower(kernel.func), kernel.arguments, externs)
    helpers: dict[str, str] = {}
    for name in sorted(rendered.helpers & HELPERS.keys()):
        helpers[f"tt_{name}"] = HELPERS[name]
    for intrinsic in kernel.intrinsics:
        helpers[intrinsic.function] = intrinsic.text
    return Kernel(
        symbol,
        tuple(rendered.lines),
        tuple(helpers.items()),
        kernel.constants,
        input_shapes,
        output_shape,
        rendered.scratch_bytes,
        kernel.overlap,
    )
