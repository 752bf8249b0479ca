# SPDX-License-Identifier: Apache-2.0
"""What convolutions and dense layers share: integer weights, folded bias, multipliers.

    real:     y = s_y (q_y - z_y) = sum_k s_x (q_x - z_x) * s_w w + s_b b
    integer:  acc = bias + sum_k q_x * w,   bias = round(s_b b / (s_x s_w)) - z_x * sum_k w

The bias is folded in int64 and must fit int32; whether the accumulator does, the graph checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Constant, Fused
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.narrow_weights import fits, low, packed
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.window import Pair
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.targets.errors import InputError

SAME_SCALE = 1e-5  # a bias this close to s_x * s_w in scale holds accumulator units already
INT32 = 2**31 - 1
MAX_SCALE = 2.0**16  # of a requantization: one step of the accumulator is far beyond int8 then


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """``integers``: int64, output channel first; ``scale``: float32 per output channel.

    ``bits``: how many each has in the model, which may be too few after ``times``.
    """

    integers: np.ndarray
    scale: np.ndarray
    bits: int = 8

    @property
    def kernel(self) -> Pair:
        """Of weights (O, KH, KW, C)."""
        return self.integers.shape[1], self.integers.shape[2]

    @property
    def rows(self) -> np.ndarray:
        return self.integers.reshape(len(self.integers), -1)

    def times(self, gain: np.ndarray | None) -> Weights:
        """With each output channel multiplied, as a batch normalization behind the layer does."""
        if gain is None:
            return self
        sign = np.where(gain < 0, -1, 1).reshape(-1, *(1 for _ in self.integers.shape[1:]))
        integers = self.integers * sign
        if integers.max() > 127:
            raise Declined("its weights hold -128, and a normalization behind it negates them")
        return Weights(integers, (self.scale * np.abs(gain)).astype(np.float32), self.bits)


def weights(constant: Constant, axes: tuple[int, ...]) -> Weights:
    """A quantized constant transposed by ``axes``, which put the output channel first."""
    if constant.scale is None:
        raise Declined(
            "its weights are not quantized: quantize in QDQ form, compile the float model with "
            "--calibration, or give integers and DequantizeLinear"
        )
    turned = constant.each(lambda array: array.transpose(axes))
    integers = turned.integers
    if integers.size == 0 or integers.min() < -128 or integers.max() > 127:
        raise Declined("its weights have a zero point; quantize weights symmetrically, to int8")
    assert turned.scale is not None
    scale = turned.scale.reshape(len(integers), -1)
    if np.any(scale != scale[:, :1]):
        raise Declined("its weight scales differ within an output channel")
    if not np.all(np.isfinite(scale)) or np.any(scale < 0):
        raise Declined("its weight scales are not finite and positive")
    return Weights(integers, scale[:, 0].astype(np.float32), constant.bits)


def in_flash(
    builder: GraphBuilder, op: Operator, weight: np.ndarray, bits: int, fused: Fused, *inputs: Shape
) -> tuple[Operator, np.ndarray]:
    """``op`` with ``weight`` as it lies in flash: of ``bits`` where the operator can, else of 8.

    ``weight`` has the shape of eight bits, ``inputs`` are those of the operator.
    """
    stored = np.ascontiguousarray(weight.astype(np.int8))
    if bits == 8:
        return op, stored
    reason = f"{op.kind} has no form with fewer"
    if not fits(stored, bits):
        reason = f"they reach from {stored.min()} to {stored.max()}, {bits} bits hold {low(bits)} "
        reason += f"to {-low(bits) - 1}"
    elif narrow := packed(op, stored, bits, *inputs):
        return narrow
    builder.notes[fused.y.name] = f"its weights of {bits} bits take 8: {reason}"
    return op, stored


def requantized(
    x: Tensor, layer: Weights, fused: Fused, role: str = ""
) -> tuple[Requant, Mapping[str, np.ndarray]]:
    """The requantization of a layer, and its "bias" and "multiplier" (with ``role`` before)."""
    scale = effective_scale(x.scale, layer.scale, fused.y.scale)
    if not np.all(scale < MAX_SCALE):  # also where it is not a number
        raise InputError(
            f"layer {fused.y.name}: input scale {x.scale:g} times a weight scale of "
            f"{float(layer.scale.max()):g} is too large for output scale {fused.y.scale:g}; "
            "calibrate or train it again"
        )
    multiplier, shift = multipliers(scale)
    bias = accumulator_bias(x, layer, fused)
    requant = Requant(fused.y.zero_point, shift, fused.low, fused.high)
    return requant, {
        f"{role}bias": bias.astype(np.int32),
        f"{role}multiplier": multiplier.astype(np.int32),
    }


def accumulator_bias(x: Tensor, layer: Weights, fused: Fused) -> np.ndarray:
    """The bias in accumulator units, with the input's zero point folded in; it fits 32 bits."""
    units = bias_units(x, layer, fused) - x.zero_point * layer.rows.sum(axis=1)
    if not np.all(np.abs(units) <= INT32):
        raise InputError(
            f"layer {fused.y.name}: its bias does not fit 32 bits in units of input scale times "
            "weight scale; a channel's weights are nearly zero, calibrate or train it again"
        )
    return units.astype(np.int64)


def bias_units(x: Tensor, layer: Weights, fused: Fused) -> np.ndarray | int:
    """The bias in accumulator units, whole numbers of any size."""
    if fused.bias is None:
        return 0
    unit = (np.float32(x.scale) * layer.scale).astype(np.float64)
    bias = fused.bias.each(lambda array: np.broadcast_to(array.reshape(-1), unit.shape))
    same = bias.scale is not None and np.all(np.abs(bias.scale - unit) <= SAME_SCALE * unit)
    if same:
        return bias.integers
    return np.where(bias.real == 0, 0.0, np.rint(bias.real / unit))  # 0 / 0 for dead channels
