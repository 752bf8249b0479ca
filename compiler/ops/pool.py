# SPDX-License-Identifier: Apache-2.0
"""Average pooling, int8, NHWC; n = elements of the window that lie inside the map.

    y = clamp((sum +- n/2) / n)                          rounded half away from zero, as TFLite does
    y = clamp(sum / n), halves to an even y - input_zero_point       ``ties_even``, as ONNX does
    y = requant(sum - n * input_zero_point, multiplier[n - 1])            for another quantization

Without ``requant`` input and output share scale and zero point, so the mean of the integers is the
integer of the mean; with it multiplier[n - 1] holds s_x / (n * s_y), and only one rounding is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Clamped
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, scales
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import (
    HIGH,
    LOW,
    OPTIONAL_REQUANT,
    ZERO_POINT,
    unless,
)
from tinytailor.compiler.ops.traits.neighbours import Clamp
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, enclosing, full
from tinytailor.compiler.ops.window import ONES, Padding, Window, in_window_key
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class AveragePool2d(Clamped):
    """``low`` and ``high`` without a ``requant``, which has its own."""

    kind: ClassVar[str] = "average_pool2d"

    window: Window = field(metadata=in_window_key(optional=("padding", "dilation")))
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant | None = field(default=None, metadata=OPTIONAL_REQUANT)
    ties_even: bool = field(default=False, metadata=unless(False, bool))

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        (rows, columns), padding = self.window.kernel, self.window.padding
        if max(padding[::2]) >= rows or max(padding[1::2]) >= columns:
            raise InputError(
                f"{self.kind}: padding {padding} of kernel {self.window.kernel}: windows would lie "
                "outside the map; padding must be smaller than the kernel"
            )
        if self.window.dilation != ONES:
            raise InputError(f"{self.kind}: dilation {self.window.dilation}, expected none")
        size = self.window.output_size(self.kind, x)
        return (1, *size, x[3])

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        if self.requant is None:
            return {}
        return {"multiplier": scales((self.window.taps,))}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        view = self.window.over(inputs[0], 0)
        total = view.astype(np.int64).sum(axis=(3, 4))
        inside = np.ones((1, *inputs[0].shape[1:3], 1), np.int8)
        count = self.window.over(inside, 0).sum(axis=(3, 4))
        if self.requant is not None:
            multiplier = constants["multiplier"][count - 1]
            return self.requant.apply(total - count * self.input_zero_point, multiplier)
        if self.ties_even:
            whole, rest = np.divmod(total + count * self.offset, count)
            y = whole + (2 * rest + (whole & 1) > count) - self.offset
            return np.clip(y, self.low, self.high).astype(np.int8)
        magnitude = (np.abs(total) + count // 2) // count
        return np.clip(np.sign(total) * magnitude, self.low, self.high).astype(np.int8)

    @property
    def offset(self) -> int:
        """What makes all integers positive and a multiple of the scale even where it is even."""
        return 128 + self.input_zero_point % 2

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        if self.requant is None:
            return reads[0].clipped(self.low, self.high)
        counts = np.arange(1, self.window.taps + 1)[:, None]
        steps, multiplier = reads[0].plus(-self.input_zero_point), constants["multiplier"][:, None]
        ends = (self.requant.apply(end * counts, multiplier) for end in (steps.low, steps.high))
        return enclosing(*ends)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range | None:
        if self.requant is None:
            return None
        steps = full(1).plus(-self.input_zero_point).widened(0)
        return steps.times(self.window.taps << self.requant.shift)

    def clamp(self) -> Clamp | None:
        if self.requant is None:
            return Clamped.clamp(self)
        return Clamp.of(self.requant)

    def with_clamp(self, clamp: Clamp) -> AveragePool2d:
        if self.requant is None:
            return Clamped.with_clamp(self, clamp)
        return replace(self, requant=clamp.on(self.requant))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def bordered(self, padding: Padding) -> str:
        return "would not count the border"

    @classmethod
    def examples(cls) -> Examples:
        return {
            "average_pool_global": (cls(Window((4, 5))), one_map(4, 5, 9)),
            "average_pool_windows": (cls(Window((2, 2), (2, 2))), one_map(6, 6, 4)),
            "average_pool_even": (
                cls(Window((2, 2), (2, 2)), input_zero_point=3, ties_even=True),
                one_map(6, 6, 4),
            ),
            "average_pool_even_border": (
                cls(Window((3, 4), (2, 1), (1, 1, 1, 2)), -90, 80, -5, None, True),
                one_map(7, 8, 5),
            ),
            "average_pool_border": (cls(Window((3, 3), (2, 2), (1, 1, 1, 1))), one_map(7, 8, 5)),
            "average_pool_time": (cls(Window((4, 1), (3, 1), (1, 0, 2, 0))), one_map(13, 1, 6)),
            "average_pool_requantized": (
                cls.from_key(
                    {"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0, 1, 1], "shifted": False}
                ),
                one_map(7, 6, 3),
            ),
        }
