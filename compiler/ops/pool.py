# SPDX-License-Identifier: Apache-2.0
"""Average pooling, int8, NHWC; n = elements of the window that lie inside the map.

    y = clamp((sum +- n/2) / n)                          rounded half away from zero, as TFLite does
    y = clamp(sum / n), halves to an even y - input_zero_point       ``ties_even``, as ONNX does
    y = requant(sum - n * input_zero_point, multiplier[n - 1])            for another quantization

Without ``requant`` input and output share scale and zero point, so the mean of the integers is the
integer of the mean; with it multiplier[n - 1] holds s_x / (n * s_y), and only one rounding is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import (
    EXAMPLE_ZERO_POINT,
    ConstantShapes,
    clamp_attributes,
    example_clamp,
    example_requant,
    requant_attributes,
)
from tinytailor.compiler.ops.geometry import (
    NO_PADDING,
    Padding,
    Pair,
    output_size,
    padding4,
    pair,
    windows,
)
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

INT8 = (-128, 127)


@dataclass(frozen=True, slots=True)
class AveragePool2d:
    kind: ClassVar[str] = "average_pool2d"

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = NO_PADDING
    low: int = -128
    high: int = 127
    input_zero_point: int = 0
    requant: Requant | None = None
    ties_even: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if max(self.padding[::2]) >= self.kernel[0] or max(self.padding[1::2]) >= self.kernel[1]:
            raise InputError(
                f"{self.kind}: padding {self.padding} of kernel {self.kernel}: windows would lie "
                "outside the map; padding must be smaller than the kernel"
            )
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, (1, 1))
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        if self.requant is None:
            return {}
        return {"multiplier": ((self.kernel[0] * self.kernel[1],), "int32")}

    def key_attributes(self) -> dict[str, Any]:
        low, high = (self.low, self.high) if self.requant is None else INT8
        attributes: dict[str, Any] = {
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            **clamp_attributes(low, high),
        }
        if any(self.padding):
            attributes["padding"] = list(self.padding)
        if self.requant is not None:
            attributes |= requant_attributes(self.requant)
        if self.ties_even:
            attributes["ties_even"] = True
        return attributes

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> AveragePool2d:
        padding = padding4(attributes.get("padding", NO_PADDING))
        kernel, stride = pair(attributes["kernel"]), pair(attributes["stride"])
        even, zero_point = bool(attributes.get("ties_even")), EXAMPLE_ZERO_POINT
        if "shifted" in attributes:
            requant = example_requant(attributes)
            return cls(kernel, stride, padding, *INT8, zero_point, requant)
        clamp = example_clamp(attributes)
        return cls(kernel, stride, padding, *clamp, zero_point, ties_even=even)

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        view = windows(inputs[0], self.kernel, self.stride, self.padding, (1, 1), 0)
        total = view.astype(np.int64).sum(axis=(3, 4))
        inside = np.ones((1, *inputs[0].shape[1:3], 1), np.int8)
        count = windows(inside, self.kernel, self.stride, self.padding, (1, 1), 0).sum(axis=(3, 4))
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
