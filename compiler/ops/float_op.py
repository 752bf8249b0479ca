# SPDX-License-Identifier: Apache-2.0
"""Operators without an integer form, computed in float32 between int8 tensors.

    a = scale_a * (x - zero_point_a)         each input, as a float32
    y = clamp(rint(f(a, b, ...) / scale_y) + zero_point_y, -128, 127)

f is whatever TVM lowers the operators of the model to; ``program`` is that, with everything else,
as one TIR function. Made with --allow-float only, by frontend/rules/float_calls.py. The functions
in it are made of float32 sums, products and quotients (float_math.py), so every core computes the
same bits. Such an operator has no key of its own in latency tables, and is not in ``OPERATORS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class FloatOp:
    """``operators``: of the model, by their names there. ``constants``: shapes of c0, c1, ..."""

    kind: ClassVar[str] = "float"

    operators: tuple[str, ...]
    inputs: tuple[Shape, ...]
    output: Shape
    constants: tuple[Shape, ...]
    program: str = field(repr=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        if inputs != self.inputs:
            raise InputError(f"float: inputs of shapes {inputs}, expected {self.inputs}")
        return self.output

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {f"c{i}": (shape, "float32") for i, shape in enumerate(self.constants)}

    def key_attributes(self) -> dict[str, Any]:
        digest = sha256(self.program.encode()).hexdigest()
        return {"operators": list(self.operators), "program": digest}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> FloatOp:
        raise InputError(
            f"{' and '.join(attributes['operators'])} in float cannot be made from its key, and "
            "has no entry in latency tables; compile the whole model to measure it"
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """The program through LLVM, one sample at a time."""
        from tinytailor.compiler.kernels.bricks.float_program import host_function

        run = host_function(self.program)
        arrays = [constants[role] for role in self.constant_shapes()]
        rows = [run([x[i] for x in inputs], arrays) for i in range(len(inputs[0]))]
        assert all(row.size == prod(self.output) for row in rows)
        return np.stack(rows).reshape(-1, *self.output[1:])
