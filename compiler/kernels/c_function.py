# SPDX-License-Identifier: Apache-2.0
"""From the scheduled TIR of one node to one C function: the record of it, and its printing.

The function takes pointers to its inputs, its output, scratch memory if it needs some, and its
constants. What it needs of scratch is known when it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.kernels.bricks.helpers import HELPERS
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Choice

POINTER_BYTES = 4
PARAMETER_BYTES = 4
WORD = 4  # constants start at a multiple of this


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The C of one node: ``symbol`` hands its constants to ``code``, which does the work.

    ``body`` knows constants and parameters by their names only, so nodes of equal text share one
    ``code``. Without any there is one function, and ``code`` is ``symbol``.
    """

    symbol: str
    code: str
    body: tuple[str, ...]
    helpers: tuple[tuple[str, str], ...]  # (name, text), in order of definition
    constants: Mapping[str, np.ndarray]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    scratch_bytes: int
    overlap: Mapping[int, int]
    choice: Choice
    input_dtypes: tuple[str, ...]
    output_dtype: str = "int8"
    parameters: Mapping[str, int] = field(default_factory=dict)  # int32, beside the constants

    @property
    def has_record(self) -> bool:
        """Whether the code is handed constants or parameters."""
        return bool(self.constants or self.parameters)

    @property
    def constant_bytes(self) -> int:
        """In flash: the arrays, a pointer to each, and a word for each parameter."""
        arrays = sum(array.nbytes + POINTER_BYTES for array in self.constants.values())
        return arrays + PARAMETER_BYTES * len(self.parameters)

    @property
    def placed_bytes(self) -> int:
        """The same with the gaps behind arrays that end within a word."""
        return self.constant_bytes + sum(-array.nbytes % WORD for array in self.constants.values())

    def same_code(self, other: Kernel) -> bool:
        """Whether the code of one does the work of the other, given its constants."""

        def interface(kernel: Kernel) -> list[tuple[str, str]]:
            arrays = [(role, array.dtype.name) for role, array in kernel.constants.items()]
            return [*arrays, *((name, "parameter") for name in kernel.parameters)]

        ours = (self.body, self.scratch_bytes, self.input_shapes, interface(self))
        theirs = (other.body, other.scratch_bytes, other.input_shapes, interface(other))
        return self.has_record and ours == theirs


def print_kernel(
    kernel: TirKernel,
    choice: Choice,
    symbol: str,
    input_shapes: tuple[Shape, ...],
    output_shape: Shape,
) -> Kernel:
    """Lower and print ``kernel`` as the C function ``symbol`` with code of its own."""
    from tinytailor.compiler.kernels.bricks import float_math
    from tinytailor.compiler.kernels.bricks.render import render
    from tinytailor.compiler.kernels.bricks.render_expressions import expression
    from tinytailor.compiler.kernels.bricks.sliding import slide
    from tinytailor.compiler.kernels.bricks.tir import lower

    types = dict(zip(kernel.arguments, (str(p.ty.dtype) for p in kernel.func.params), strict=True))
    lowered = lower(kernel.func)
    if kernel.sliding:
        lowered = slide(lowered, kernel.sliding)
    externs = {intrinsic.function: intrinsic.function for intrinsic in kernel.intrinsics}
    rendered = render(lowered, kernel.arguments, externs)
    helpers: dict[str, str] = {}
    functions = {
        f"tt_{name}": float_math.definition(name, partial(expression, helpers=rendered.helpers))
        for name in float_math.FUNCTIONS
        if name in rendered.helpers
    }
    for name in sorted(rendered.helpers & HELPERS.keys()):
        helpers[f"tt_{name}"] = HELPERS[name]
    helpers |= functions
    for intrinsic in kernel.intrinsics:
        helpers[intrinsic.function] = intrinsic.text
    return Kernel(
        symbol,
        f"{symbol}_code" if kernel.constants or rendered.parameters else symbol,
        tuple(rendered.lines),
        tuple(helpers.items()),
        kernel.constants,
        input_shapes,
        output_shape,
        rendered.scratch_bytes,
        kernel.overlap,
        choice,
        tuple(types[f"x{i}"] for i in range(len(input_shapes))),
        types["y"],
        rendered.parameters,
    )
