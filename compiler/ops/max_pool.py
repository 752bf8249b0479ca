# SPDX-License-Identifier: Apache-2.0
"""Maximum pooling, int8, NHWC, output quantized like the input.

    y[h,w,c] = clamp(max_{i,j} x[h*s + i*d - p, w*s + j*d - p, c])

The border reads -128, the smallest int8, and so never wins against an element of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Clamped, Inputs
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    output_size,
    widened,
    window_overlap,
    windows,
)
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import Constants
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, PADDING, PAIR, exactly, unless
from tinytailor.compiler.ops.traits.neighbours import Bordered
from tinytailor.compiler.ops.traits.ranges import Range, Ranges

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel

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

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        reach = max(self.padding) >= min(self.kernel)  # a window may lie in the border alone
        x = reads[0].widened(BORDER) if reach else reads[0]
        return x.clipped(self.low, self.high)

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def bordered(self, padding: Padding) -> Bordered:
        return Bordered(replace(self, padding=widened(self.padding, padding)), BORDER)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """One maximum per output element, kept in a register."""
        from tvm import te

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        _, oh, ow, channels = self.output_shape(*inputs)
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        x = te.placeholder(inputs[0], "int8", name="x")
        at = tir.padded(x, self.padding, tir.const(BORDER, "int8"))
        i, j = te.reduce_axis((0, kh), "i"), te.reduce_axis((0, kw), "j")
        top = te.compute(
            (oh, ow, channels),
            lambda h, v, c: te.max(tir.int32(at(h * sh + i * dh, v * sw + j * dw, c)), axis=[i, j]),
            name="top",
        )
        y = te.compute(
            (oh, ow, channels),
            lambda h, v, c: tir.clamped(top[h, v, c], self.low, self.high).astype("int8"),
            name="y",
        )
        schedule = tir.schedule_of((x, y))
        maximum = schedule.get_sblock("top")
        inner = schedule.get_loops(schedule.get_sblock("y"))[-1]
        schedule.compute_at(maximum, inner, preserve_unit_loops=True)
        schedule.decompose_reduction(maximum, schedule.get_loops(maximum)[-2])
        overlap = {0: window_overlap(inputs[0], (oh, ow), self.stride, self.padding)}
        return TirKernel(schedule.mod["main"], ("x0", "y"), {}, overlap=overlap)
