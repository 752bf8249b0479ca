# SPDX-License-Identifier: Apache-2.0
"""A step of the engine: a map streams once through its units, each of which computes a node or
hands on what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinytailor.compiler.ir import Node, Tensor
from tinytailor.targets.fpga import LANES


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """``by_unit``: name of a unit -> the node that it computes, in the order of the engine."""

    by_unit: Mapping[str, Node]
    source: Tensor
    sink: Tensor

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.by_unit.values())

    @property
    def pixels(self) -> int:
        return self.source.shape[1] * self.source.shape[2]

    @property
    def in_blocks(self) -> int:
        return blocks(self.source.shape[3])

    @property
    def out_blocks(self) -> int:
        return blocks(self.sink.shape[3])


def blocks(channels: int) -> int:
    """Words of 16 channels that hold one pixel."""
    return -(-channels // LANES)
