# SPDX-License-Identifier: Apache-2.0
"""Maximum pooling, int8, NHWC, output quantized like the input.

    y[h,w,c] = clamp(max_{i,j} x[h*s + i*d - p, w*s + j*d - p, c])

The border reads -128, the smallest int8, and so never wins against an element of the map.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Clamped
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    output_size,
    widened,
    windows,
)
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, PADDING, PAIR, exactly, unless
from tinytailor.compiler.ops.traits.neighbours import Bordered
from tinytailor.compiler.ops.traits.ranges import Range, Ranges

BORDER = -128


@dataclass(frozen=True, slots=True)
class MaxPool2d(Clamped):
    kind: ClassVar[str] = "max_pool2d"

    kernel: Pair = field(metadata=PAIR)
    stride: Pair = field(default=(1, 1), metadata=PAIR)
    padding: Padding = field(default=(0, 0, 0, 0), metadata=PADDING)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)
    dilation: Pair = field(default=(1, 1), metadata=unless((1, 1), exactly(2), list))

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        return (1, *size, x[3])

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        view = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation, BORDER)
        return np.clip(view.max(axis=(3, 4)), self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        reach = max(self.padding) >= min(self.kernel)  # a window may lie in the border alone
        x = reads[0].widened(BORDER) if reach else reads[0]
        return x.clipped(self.low, self.high)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def bordered(self, padding: Padding) -> Bordered:
        return Bordered(replace(self, padding=widened(self.padding, padding)), BORDER)
