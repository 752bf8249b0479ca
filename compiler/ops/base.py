# SPDX-License-Identifier: Apache-2.0
"""What an operator is. One operator is one file in this package and one line in ``__init__``.

An operator record holds attributes only: kernel, stride, zero points, clamp. Shapes come from the
tensors, arrays from the node. ``key_attributes`` names what else than shapes changes the code that
is generated; values that only fill constants (scales, zero points) stay out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.requantization import Requant

ConstantShapes = Mapping[str, tuple[Shape, str]]  # role -> (shape, dtype name)

# Operators made from a key stand for all that share it. Zero would be folded away by compilers;
# most layers end in a ReLU and so have this zero point.
EXAMPLE_ZERO_POINT = -128


EXAMPLE_CLAMP = (-100, 100)


def clamp_attributes(low: int, high: int) -> dict[str, Any]:
    """What a key says of a clamp: cores have an instruction for that of int8, not for others."""
    return {} if (low, high) == (-128, 127) else {"clamped": True}


def example_clamp(attributes: Mapping[str, Any]) -> tuple[int, int]:
    return EXAMPLE_CLAMP if attributes.get("clamped") else (-128, 127)


def requant_attributes(q: Requant) -> dict[str, Any]:
    """What a key says of a requantization; the rest are parameters."""
    return {"shifted": q.shift > 0, **clamp_attributes(q.low, q.high)}


def example_requant(attributes: Mapping[str, Any]) -> Requant:
    """The requantization of an operator made from its key."""
    low, high = example_clamp(attributes)
    return Requant(EXAMPLE_ZERO_POINT, int(attributes["shifted"]), low, high)


def output_dtype(op: Operator) -> str:
    """int8, unless the operator says otherwise: what is not int8 can only leave the graph."""
    return str(getattr(op, "output_dtype", "int8"))


class Operator(Protocol):
    kind: ClassVar[str]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of the output, or InputError saying what was expected."""

    def macs(self, *inputs: Shape) -> int:
        """Multiply-accumulates, padding included (the field's convention)."""

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        """Shape and dtype of each constant the node must carry."""

    def key_attributes(self) -> dict[str, Any]:
        """JSON values that change the generated code, besides shapes: what an OpKey holds."""

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Operator:
        """An operator with these key attributes and neutral values for the rest."""

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """The meaning in plain numpy, independent of the TIR that is compiled."""
