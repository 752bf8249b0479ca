# SPDX-License-Identifier: Apache-2.0
"""Maximum pooling, int8, NHWC, output quantized like the input.

    y[h,w,c] = clamp(max_{i,j} x[h*s + i*d - p, w*s + j*d - p, c])

The border reads -128, the smallest int8, and so never wins against an element of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes, clamp_attributes, example_clamp
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    output_size,
    padding4,
    pair,
    windows,
)

BORDER = -128


@dataclass(frozen=True, slots=True)
class MaxPool2d:
    kind: ClassVar[str] = "max_pool2d"

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    low: int = -128
    high: int = 127
    dilation: Pair = (1, 1)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        attributes = {
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            **clamp_attributes(self.low, self.high),
        }
        return attributes | ({} if self.dilation == (1, 1) else {"dilation": list(self.dilation)})

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> MaxPool2d:
        return cls(
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            *example_clamp(attributes),
            dilation=pair(attributes.get("dilation", (1, 1))),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        view = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation, BORDER)
        return np.clip(view.max(axis=(3, 4)), self.low, self.high).astype(np.int8)
