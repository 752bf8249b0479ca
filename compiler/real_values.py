# SPDX-License-Identifier: Apache-2.0
"""Real numbers and the integers of a network's border. The emitted C does the same in float.

    input     q = clip(round((x - offset[c]) / step[c]) + zero_point, low, high)
    output    y = scale * (q - zero_point)

c counts along one axis, or there is one offset and one step for all; low and high are the ends of
int8, or of int16 where a network reads the samples of a sensor. Rounding is half to even, each
operation rounds to float32, and not a number becomes low. A network trained on standardised
channels, (x - mean) / std at the scale s, reads offset = mean and step = std s: its standardisation
costs nothing beside the quantization. An input without any has offset 0 and step s, which is the
ONNX operator QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LOW, HIGH = -128, 127
Dtype = str | np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Standardization:
    """``offset`` and ``step``, float32 values, of each channel along ``axis``; one pair for all
    where ``axis`` is None."""

    offset: tuple[float, ...]
    step: tuple[float, ...]
    axis: int | None = None

    @classmethod
    def of(cls, offset: Any, step: Any, axis: int | None) -> Standardization:
        """From arrays of equal length; equal channels become one pair."""
        offsets, steps = np.broadcast_arrays(np.float32(offset).ravel(), np.float32(step).ravel())
        if np.all(offsets == offsets[0]) and np.all(steps == steps[0]):
            offsets, steps, axis = offsets[:1], steps[:1], None
        return cls(tuple(map(float, offsets)), tuple(map(float, steps)), axis)

    @classmethod
    def plain(cls, scale: float) -> Standardization:
        """Of an input that is quantized and nothing else."""
        return cls((0.0,), (float(np.float32(scale)),))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Standardization:
        return cls(tuple(values["offset"]), tuple(values["step"]), values["channel_axis"])

    def to_json(self) -> dict[str, Any]:
        offset, step = list(self.offset), list(self.step)
        return {"offset": offset, "step": step, "channel_axis": self.axis}

    def along(self, values: tuple[float, ...], rank: int) -> np.ndarray:
        """``values`` as float32 that broadcast over an array of this rank."""
        shape = [1] * rank
        if self.axis is not None:
            shape[self.axis] = len(values)
        return np.array(values, np.float32).reshape(shape)


def unrounded(x: np.ndarray, real: Standardization) -> np.ndarray:
    """(x - offset) / step in float32; the axis is that of ``x``, whose first axis are rows."""
    numbers = np.asarray(x, np.float32)
    offset, step = (real.along(values, numbers.ndim) for values in (real.offset, real.step))
    result: np.ndarray = (numbers - offset) / step
    return result


def quantized(
    x: np.ndarray, real: Standardization, zero_point: int, dtype: Dtype = "int8"
) -> np.ndarray:
    """The integers that the network reads for real numbers ``x``."""
    ends = np.iinfo(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.rint(unrounded(x, real))
    inside = np.clip(steps, ends.min - zero_point, ends.max - zero_point)
    return np.where(np.isnan(inside), ends.min, inside + zero_point).astype(dtype)


def saturated(
    x: np.ndarray, real: Standardization, zero_point: int, dtype: Dtype = "int8"
) -> np.ndarray:
    """Where ``x`` lies more than half a step outside of what the integers hold."""
    ends = np.iinfo(dtype)
    steps = np.rint(unrounded(x, real))
    result: np.ndarray = (steps < ends.min - zero_point) | (steps > ends.max - zero_point)
    return result


def dequantized(q: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """int8 to float32."""
    shifted = (q.astype(np.int32) - zero_point).astype(np.float32)
    result: np.ndarray = shifted * np.float32(scale)
    return result
