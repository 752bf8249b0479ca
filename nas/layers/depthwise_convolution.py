# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution: one filter a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import DepthwiseConv2d, Operator
from tinytailor.nas.layers.base import Kind
from tinytailor.nas.layers.filters import Filters, Pair


@dataclass(frozen=True, slots=True)
class DepthwiseConvolution(Filters):
    """As many filters as there are channels, each over its own."""

    name: ClassVar[str] = "depthwise_convolution"

    def widths(self, channels: int) -> Pair:
        return channels, 1

    def operator(self, *shapes: Shape) -> Operator:
        return DepthwiseConv2d(self.window(shapes[0]))

    def packed(self, weight: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(weight[..., 0].transpose(1, 2, 0))

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        return (
            (cls((3, 3)), ((1, 6, 7, 8),)),
            (cls((5, 5), (2, 2)), ((1, 9, 8, 4),)),
            (cls((3, 3), relu=False, norm=False), ((1, 5, 4, 6),)),
        )
