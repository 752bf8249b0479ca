# SPDX-License-Identifier: Apache-2.0
"""Average pooling, int8, NHWC, no padding, output quantized like the input.

    y = clamp((sum +- n/2) / n)   rounded half away from zero, n = window size, as TFLite does.

Input and output share scale and zero point, so the mean of the integers is the integer of the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.compiler.ops.geometry import Pair, output_size, pair, windows

NO_PADDING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class AveragePool2d:
    kind: ClassVar[str] = "average_pool2d"

    kernel: Pair
    stride: Pair = (1, 1)
    low: int = -128
    high: int = 127

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, NO_PADDING, (1, 1))
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"kernel": list(self.kernel), "stride": list(self.stride)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> AveragePool2d:
        return cls(pair(attributes["kernel"]), pair(attributes["stride"]))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        view = windows(inputs[0], self.kernel, self.stride, NO_PADDING, (1, 1), 0)
        total = view.astype(np.int64).sum(axis=(3, 4))
        count = self.kernel[0] * self.kernel[1]
        magnitude = (np.abs(total) + count // 2) // count
        return np.clip(np.sign(total) * magnitude, self.low, self.high).astype(np.int8)
