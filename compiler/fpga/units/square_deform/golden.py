# SPDX-License-Identifier: Apache-2.0
"""What the unit must compute from packed words, in numpy, by another road than the operator and the
engine: all eight depthwise convolutions are computed densely and masked,

    y = sum_{k in 0..7} [d == k] * DepthwiseConv(x, dilation=k).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinytailor.compiler.fpga.units.reading import Reader, divide_round, requantize
from tinytailor.targets.fpga import LANES


def square_deform(
    x: np.ndarray, field: Mapping[str, int], reader: Reader
) -> tuple[np.ndarray, np.ndarray]:
    """The map, and the dilation of each pixel."""
    blocks = field["out_blocks"]
    offset_weight = reader.weights(blocks).reshape(-1)
    offset_bias, offset_multiplier = reader.channels(1)
    taps = reader.weights(blocks * 9).reshape(blocks, 3, 3, LANES)
    kernel = taps.transpose(1, 2, 0, 3).reshape(3, 3, -1)
    bias, multiplier = reader.channels(blocks * LANES)
    offset = (x.astype(np.int64) * offset_weight).sum(axis=3) + offset_bias[0]
    steps = divide_round(offset * offset_multiplier[0], 32 - field["offset_shift"])
    dilations = np.clip(steps, 0, 7)
    acc = np.zeros(x.shape, np.int64)
    for k in range(8):
        mask = dilations == k
        if mask.any():
            acc += mask[..., None] * _depthwise(x, kernel, k, field["deform_border"])
    y = requantize(acc + bias, multiplier, field, "deform")
    return y, dilations.astype(np.int8)


def _depthwise(x: np.ndarray, kernel: np.ndarray, dilation: int, border: int) -> np.ndarray:
    """Ordinary 3x3 depthwise convolution of a map bordered with ``border``, 'same' size."""
    _, height, width, _ = x.shape
    edge = ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0))
    padded = np.pad(x.astype(np.int64), edge, constant_values=border)
    total = np.zeros(x.shape, np.int64)
    for i in range(3):
        for j in range(3):
            top, left = i * dilation, j * dilation
            total += padded[:, top : top + height, left : left + width] * kernel[i, j]
    return total
