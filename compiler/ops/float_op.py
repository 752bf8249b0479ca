# SPDX-License-Identifier: Apache-2.0
"""Operators without an integer form, computed in float32 between int8 tensors.

    a = scale_a * (x - zero_point_a)         each input, as a float32
    y = clamp(rint(f(a, b, ...) / scale_y) + zero_point_y, -128, 127)

f is whatever TVM lowers the operators of the model to; ``program`` is that, with everything else,
as one TIR function. Made with --allow-float only. The functions in it are made of float32 sums,
products and quotients (kernels/bricks/float_math.py), so every core computes the same bits. Such an
operator is no entry of latency tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, reals
from tinytailor.compiler.ops.traits.keys import Attributes, in_key, named
from tinytailor.targets.errors import InputError


def _digest(name: str, program: str) -> Attributes:
    return {name: sha256(program.encode()).hexdigest()}


def _refused(name: str, attributes: Attributes) -> str:
    raise InputError(
        f"{' and '.join(attributes['operators'])} in float cannot be made from its key, and "
        "has no entry in latency tables; compile the whole model to measure it"
    )


@dataclass(frozen=True, slots=True)
class FloatOp(Operator):
    """``operators``: of the model, by their names there. ``arrays``: shapes of c0, c1, ..."""

    kind: ClassVar[str] = "float"
    in_tables: ClassVar[bool] = False

    operators: tuple[str, ...] = field(metadata=named(tuple, list))
    inputs: tuple[Shape, ...]
    output: Shape
    arrays: tuple[Shape, ...]
    program: str = field(repr=False, metadata=in_key(_digest, _refused))

    def output_shape(self, *inputs: Shape) -> Shape:
        if inputs != self.inputs:
            raise InputError(f"float: inputs of shapes {inputs}, expected {self.inputs}")
        return self.output

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {f"c{i}": reals(shape) for i, shape in enumerate(self.arrays)}

    def in_float(self) -> tuple[str, ...]:
        return self.operators

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        """The program through LLVM, one sample at a time."""
        from tinytailor.compiler.kernels.bricks.float_program import host_function

        run = host_function(self.program)
        arrays = [constants[role] for role in self.constants()]
        rows = [run([x[i] for x in inputs], arrays) for i in range(len(inputs[0]))]
        assert all(row.size == prod(self.output) for row in rows)
        return np.stack(rows).reshape(-1, *self.output[1:])
