# SPDX-License-Identifier: Apache-2.0
"""How a primitive writes its ONNX nodes; network/onnx_file.py puts them between Q/DQ pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.compand import DOMAIN, INPUTS, NAME, compand_attributes
from tinytailor.compiler.ir import Shape

AddNode = Callable[[str, Sequence[str], str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A quantized constant in ONNX's layout: integers, one float32 scale for each on axis 0, or no
    scale where the integers are read as they are."""

    integers: np.ndarray
    scale: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OnnxStep:
    """From float tensors ``sources``, of shapes ``shapes`` (NHWC), to the float tensor ``target``.

    ``constants`` names the float weights by role; a tensor in between is ``name`` with a suffix.
    """

    name: str
    sources: tuple[str, ...]
    shapes: tuple[Shape, ...]
    constants: Mapping[str, str]
    target: str
    add: AddNode

    def compand(self, step: int, segmented: bool, zero_point: int) -> None:
        """The node of frontend/onnx/compand.py, from integers to integers."""
        attributes = compand_attributes(step, segmented, zero_point)
        names = [self.sources[0], *(self.constants[role] for role in INPUTS)]
        self.add(NAME, names, self.target, {**attributes, "domain": DOMAIN})

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """One node of a standard operator, with its attributes."""
        self.add(kind, inputs, output, attributes)
