# SPDX-License-Identifier: Apache-2.0
"""Convolution in groups of a fixed size, as the group width of RegNet (arXiv 2003.13678).

Every group of ``size`` channels is filtered into as many of its own. So the first channels of a
wide layer are a narrower one, which groups of a fixed number would not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import GroupedConv2d, Operator
from tinytailor.nas.layers.base import Kind
from tinytailor.nas.layers.filters import Filters, Pair


@dataclass(frozen=True, slots=True)
class GroupedConvolution(Filters):
    """As many filters as there are channels, each over those of its group.

    Channels that cannot be divided by ``size`` are in groups of their greatest common divisor.
    """

    name: ClassVar[str] = "grouped_convolution"
    mixes: ClassVar[bool] = True

    size: int = 8

    @property
    def one_width(self) -> bool:
        return True

    def widths(self, channels: int) -> Pair:
        return channels, gcd(self.size, channels)

    def operator(self, *shapes: Shape) -> Operator:
        channels, size = self.widths(shapes[0][3])
        return GroupedConv2d(channels, channels // size, self.window(shapes[0]))

    def packed(self, weight: np.ndarray) -> np.ndarray:
        return weight

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return (
            (cls((3, 1), size=4), ((1, 12, 1, 16),)),
            (cls((3, 3), (2, 2), size=2), ((1, 7, 8, 8),)),
        )
