# SPDX-License-Identifier: Apache-2.0
"""What a unit is: everything that the engine and its model know of an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np

from tinytailor.compiler.fpga.step import Step
from tinytailor.compiler.fpga.units.reading import Reader
from tinytailor.compiler.ir import Node, Shape
from tinytailor.targets.fpga import Fpga

Golden = tuple[np.ndarray, np.ndarray | None]  # what a unit makes, and its choice at each pixel


class Unit(Protocol):
    """Its .hpp files lie beside it, in the folder ``folder`` of this package."""

    name: ClassVar[str]  # of its flag, of its fields and loops
    folder: ClassVar[str]
    kind: ClassVar[str]  # of the operator it computes
    expected: ClassVar[str]  # the operator in words, for errors
    limits: ClassVar[str]  # within which it computes it
    stage: ClassVar[str]  # what reports call it
    fields: ClassVar[tuple[str, ...]]  # of a descriptor
    reported: ClassVar[Mapping[str, int]]  # loops that HLS reports on -> their fewest iterations
    sizes: ClassVar[Mapping[str, int]]  # of the hardware, for templates
    choice: ClassVar[str]  # what it chooses at each pixel, "" for nothing
    choices: ClassVar[int]

    def problems(self, node: Node, shape: Shape, fpga: Fpga) -> list[str]:
        """What keeps ``node``, which reads a map of ``shape``, from running on it."""

    def board_problems(self, fpga: Fpga) -> list[str]:
        """What keeps the unit from being put on the board."""

    def descriptor(self, node: Node) -> dict[str, int]:
        """The values of its ``fields``."""

    def weights(self, node: Node, step: Step) -> np.ndarray:
        """The uint64 words of its section of weight memory, in the order that ``golden`` reads."""

    def golden(self, x: np.ndarray, field: Mapping[str, int], reader: Reader) -> Golden:
        """Its meaning: images (N, H, W, C padded) int8 through a packed step."""

    def iterations(self, step: Step) -> dict[str, int]:
        """Trip counts of its loops by name, in a step with or without a node for it."""

    def loaded(self, step: Step) -> int:
        """Words of its section of weight memory."""

    def cycles(self, step: Step, arrival: float) -> int:
        """Modelled, when the last word of the map arrives after ``arrival`` cycles."""

    def area(self, fpga: Fpga) -> dict[str, float]:
        """Modelled: dsp, lut, bram36."""
