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
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import HIGH, LOW
from tinytailor.compiler.ops.traits.neighbours import Bordered
from tinytailor.compiler.ops.traits.ranges import Range, Ranges
from tinytailor.compiler.ops.window import Padding, Window, in_window_key

BORDER = -128


@dataclass(frozen=True, slots=True)
class MaxPool2d(Clamped):
    kind: ClassVar[str] = "max_pool2d"

    window: Window = field(metadata=in_window_key(optional=("dilation",)))
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = self.window.output_size(self.kind, x)
        return (1, *size, x[3])

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        view = self.window.over(inputs[0], BORDER)
        return np.clip(view.max(axis=(3, 4)), self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        border_alone = max(self.window.padding) >= min(self.window.kernel)  # under some window
        x = reads[0].widened(BORDER) if border_alone else reads[0]
        return x.clipped(self.low, self.high)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def bordered(self, padding: Padding) -> Bordered:
        return Bordered(replace(self, window=self.window.padded(padding)), BORDER)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "max_pool": (cls(Window((2, 2), (2, 2))), one_map(7, 6, 8)),
            "max_pool_border": (cls(Window((3, 3), (2, 2), (1, 1, 1, 1))), one_map(7, 9, 5)),
            "max_pool_time": (cls(Window((4, 1), (2, 1), (1, 0, 2, 0))), one_map(13, 1, 6)),
            "max_pool_dilated": (
                cls(Window((2, 3), padding=(1, 0, 0, 1), dilation=(2, 3))),
                one_map(6, 9, 4),
            ),
        }
