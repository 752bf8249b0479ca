# SPDX-License-Identifier: Apache-2.0
"""Convolution over all channels of a map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Conv2d, Operator
from tinytailor.nas.layers.base import Kind
from tinytailor.nas.layers.filters import Filters, Pair


@dataclass(frozen=True, slots=True)
class Convolution(Filters):
    """``channels`` filters, each over all channels."""

    name: ClassVar[str] = "convolution"
    mixes: ClassVar[bool] = True

    channels: int = 1

    def at(self, channels: int) -> Kind:
        return replace(self, channels=channels)

    def widths(self, channels: int) -> Pair:
        return self.channels, channels

    def operator(self, *shapes: Shape) -> Operator:
        return Conv2d(self.channels, self.window(shapes[0]))

    def packed(self, weight: np.ndarray) -> np.ndarray:
        return weight

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return (
            (cls((3, 3), (2, 2), channels=8), ((1, 9, 8, 3),)),
            (cls((5, 1), (2, 1), channels=4), ((1, 11, 3, 2),)),
            (cls((3, 1), dilation=(2, 1), channels=5), ((1, 11, 1, 4),)),
            (cls((1, 1), relu=False, channels=6), ((1, 4, 5, 8),)),
            (cls((1, 1), relu=False, norm=False, channels=3), ((1, 1, 1, 8),)),
        )
