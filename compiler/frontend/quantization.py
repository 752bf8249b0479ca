# SPDX-License-Identifier: Apache-2.0
"""Scale and zero point of an int8 tensor: real = scale * (integer - zero_point)."""

from __future__ import annotations

from math import inf

import numpy as np

from tinytailor.compiler.ir import Tensor

Quantization = tuple[float, int]


def quantization_of(tensor: Tensor) -> Quantization:
    return tensor.scale, tensor.zero_point


def same_quantization(a: Quantization, b: Quantization) -> bool:
    return a[1] == b[1] and np.float32(a[0]) == np.float32(b[0])


def integer_bounds(low: float, high: float, scale: float, zero_point: int) -> tuple[int, int]:
    """Real bounds of an activation function, quantized like any other number (half to even)."""

    def quantize(bound: float, limit: int) -> int:
        if abs(bound) == inf:
            return limit
        value = np.rint(np.float32(bound) / np.float32(scale)) + zero_point
        return int(min(127, max(-128, value)))

    return quantize(low, -128), quantize(high, 127)
