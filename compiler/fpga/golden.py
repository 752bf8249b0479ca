# SPDX-License-Identifier: Apache-2.0
"""An independent interpreter of packed programs: what the engine must compute, in numpy.

It reads the emitted bytes, not the graph, and finds a deformable layer by another road than the
operator and the engine: all eight depthwise convolutions are computed densely and masked,

    y = sum_{k in 0..7} [d == k] * DepthwiseConv(x, dilation=k).

So a slip in packing, in addressing or in the operator shows as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.fpga.program import FIELDS, FLAG_DEFORM, FLAG_POINTWISE, STEP_WORDS
from tinytailor.targets.fpga import LANES


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """``output`` (N, H, W, C padded) int8; ``dilations`` (N, H, W) of a deformable step."""

    output: np.ndarray
    dilations: np.ndarray | None


def run(descriptors: bytes, weights: bytes, images: np.ndarray) -> list[StepResult]:
    """Execute a program on images (N, H, W, C padded to 16) int8; one result per step."""
    table = np.frombuffer(descriptors, "<i4").reshape(-1, STEP_WORDS)
    words = np.frombuffer(weights, "<u8")
    results: list[StepResult] = []
    x = images
    for row in table:
        field = dict(zip(FIELDS, (int(value) for value in row), strict=False))
        reader = _Reader(words, field["weights"])
        dilations = None
        if field["flags"] & FLAG_POINTWISE:
            x = _pointwise(x, field, reader)
        if field["flags"] & FLAG_DEFORM:
            x, dilations = _deform(x, field, reader)
        results.append(StepResult(x, dilations))
    return results


class _Reader:
    """A cursor over weight memory."""

    def __init__(self, words: np.ndarray, position: int) -> None:
        self._words, self._position = words, position

    def take(self, count: int) -> np.ndarray:
        self._position += count
        return self._words[self._position - count : self._position]

    def weights(self, count: int) -> np.ndarray:
        """(count, 16) weights in -8..7."""
        data = np.frombuffer(self.take(count).astype("<u8").tobytes(), np.uint8)
        pairs = np.stack([data % 16, data // 16], axis=1).astype(np.int64)
        return np.where(pairs > 7, pairs - 16, pairs).reshape(count, LANES)

    def channels(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(bias, multiplier), int64."""
        pairs = np.frombuffer(self.take(count).astype("<u8").tobytes(), "<i4").reshape(count, 2)
        return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)


def _pointwise(x: np.ndarray, field: dict[str, int], reader: _Reader) -> np.ndarray:
    ib, ob = field["in_blocks"], field["out_blocks"]
    tiles = reader.weights(ob * ib * LANES).reshape(ob, ib, LANES, LANES)
    bias, multiplier = reader.channels(ob * LANES)
    # 24-bit sums are exact in float64, and its matrix product is a fast one.
    acc = np.zeros((*x.shape[:3], ob * LANES))
    for i in range(ib):
        part = x[..., i * LANES : (i + 1) * LANES].astype(np.float64)
        acc += part @ tiles[:, i].reshape(-1, LANES).T.astype(np.float64)
    return _requantize(acc.astype(np.int64) + bias, multiplier, field, "pointwise")


def _deform(x: np.ndarray, field: dict[str, int], reader: _Reader) -> tuple[np.ndarray, np.ndarray]:
    blocks = field["out_blocks"]
    offset_weight = reader.weights(blocks).reshape(-1)
    offset_bias, offset_multiplier = reader.channels(1)
    taps = reader.weights(blocks * 9).reshape(blocks, 3, 3, LANES)
    kernel = taps.transpose(1, 2, 0, 3).reshape(3, 3, -1)
    bias, multiplier = reader.channels(blocks * LANES)
    offset = (x.astype(np.int64) * offset_weight).sum(axis=3) + offset_bias[0]
    steps = _divide_round(offset * offset_multiplier[0], 32 - field["offset_shift"])
    dilations = np.clip(steps, 0, 7)
    acc = np.zeros(x.shape, np.int64)
    for k in range(8):
        mask = dilations == k
        if mask.any():
            acc += mask[..., None] * _depthwise(x, kernel, k, field["deform_border"])
    y = _requantize(acc + bias, multiplier, field, "deform")
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


def _requantize(
    acc: np.ndarray, multiplier: np.ndarray, field: dict[str, int], unit: str
) -> np.ndarray:
    value = _divide_round(acc * multiplier, 32 - field[f"{unit}_shift"])
    value += field[f"{unit}_zero_point"]
    return np.clip(value, field[f"{unit}_low"], field[f"{unit}_high"]).astype(np.int8)


def _divide_round(value: np.ndarray, bits: int) -> np.ndarray:
    """value / 2^bits to the nearest integer, halves up."""
    return np.floor_divide(value + 2 ** (bits - 1), 2**bits)
