# SPDX-License-Identifier: Apache-2.0
"""Convolutions and dense layers: integer weights, folded bias, multipliers.

    real:     y = s_y (q_y - z_y) = sum_k s_x (q_x - z_x) * s_w w + s_b b
    integer:  acc = bias + sum_k q_x * w,   bias = round(s_b b / (s_x s_w)) - z_x * sum_k w

The bias is folded in int64; it and the accumulator's bound 128 * sum|w| + |bias| must fit int32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tinytailor.compiler.frontend.importer import Walk
from tinytailor.compiler.frontend.layout import arranged
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.values import (
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    map_order,
    map_shape,
    row_major,
    transposed,
)
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import Conv2d, Dense, DepthwiseConv2d, GroupedConv2d, Operator
from tinytailor.compiler.ops.geometry import NO_PADDING, Padding, Pair
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.targets.errors import InputError

SAME_SCALE = 1e-5  # a bias this close to s_x * s_w in scale holds accumulator units already
INT32 = 2**31 - 1
MAX_SCALE = 2.0**16  # of a requantization: one step of the accumulator is far beyond int8 then


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """``integers``: int64, output channel first; ``scale``: float32 per output channel."""

    integers: np.ndarray
    scale: np.ndarray

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
        return Weights(integers, (self.scale * np.abs(gain)).astype(np.float32))


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
    return Weights(integers, scale[:, 0].astype(np.float32))


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
    rows = layer.rows
    bound = 128 * np.abs(rows).sum(axis=1) + np.abs(bias)
    if int(bound.max()) << shift > INT32:
        channel = int(bound.argmax())
        raise InputError(
            f"layer {fused.y.name}: the accumulator of channel {channel} can reach "
            f"{int(bound[channel]) << shift}, more than the {INT32} of 32 bits; its bias or its "
            "scales are out of proportion, calibrate or train it again"
        )
    requant = Requant(fused.y.zero_point, shift, fused.low, fused.high)
    return requant, {
        f"{role}bias": bias.astype(np.int32),
        f"{role}multiplier": multiplier.astype(np.int32),
    }


def accumulator_bias(x: Tensor, layer: Weights, fused: Fused) -> np.ndarray:
    """The bias in accumulator units, int64, with the input's zero point folded in."""
    correction = -x.zero_point * layer.rows.sum(axis=1)
    if fused.bias is None:
        return correction
    unit = (np.float32(x.scale) * layer.scale).astype(np.float64)
    bias = fused.bias.each(lambda array: np.broadcast_to(array.reshape(-1), unit.shape))
    same = bias.scale is not None and np.all(np.abs(bias.scale - unit) <= SAME_SCALE * unit)
    if same:
        return bias.integers + correction
    units = np.where(bias.real == 0, 0.0, np.rint(bias.real / unit))  # 0 / 0 for dead channels
    if not np.all(np.abs(units) <= INT32):
        raise InputError(
            f"layer {fused.y.name}: its bias does not fit 32 bits in units of input scale times "
            "weight scale; a channel's weights are nearly zero, calibrate or train it again"
        )
    return units.astype(np.int64) + correction


def convolution(call: Call, walk: Walk) -> Expression:
    """conv2d and conv1d, plain, depthwise or in groups; a series is a map of width 1."""
    x = walk.activation(call.arguments[0])
    constant = walk.constant(call.arguments[1], "weight")
    attributes = call.attributes
    layout, kernel_layout = str(attributes["data_layout"]), str(attributes["kernel_layout"])
    groups = int(attributes["groups"])
    source = walk.as_map(x, layout)
    channels = source.shape[3]
    letters = {letter: place for place, letter in enumerate(kernel_layout)}
    out_channels = call.shape[layout.index("C")]
    if groups < 1 or channels % groups or out_channels % groups:
        raise Declined(
            f"{groups} groups do not divide {channels} input and {out_channels} output channels"
        )
    axes = tuple(letters[letter] for letter in kernel_layout if letter in "HW")
    first, last = ("O", "I") if letters_size(constant, letters, "O") == out_channels else ("I", "O")
    layer = weights(constant, (letters[first], *axes, letters[last]))
    if len(axes) == 1:
        layer = Weights(layer.integers[:, :, None, :], layer.scale)
    stride, dilation, padding = window(attributes, len(axes))

    def finish(fused: Fused) -> Finished:
        return convolved(source, layer, groups, (stride, padding, dilation), fused)

    device, order = map_shape(call.shape, layout), map_order(call.shape, layout)
    axis = layout.index("C")
    return Expression(call.shape, order, device, finish, bias_axis=axis, takes_gain=True)


def convolved(
    source: Tensor, layer: Weights, groups: int, places: tuple[Pair, Padding, Pair], fused: Fused
) -> Finished:
    """The operator of (stride, padding, dilation) for weights (O, KH, KW, C / groups)."""
    layer = layer.times(fused.gain)
    requant, constants = requantized(source, layer, fused)
    channels, (out_channels, kh, kw, _) = source.shape[3], layer.integers.shape
    common = ((kh, kw), *places, source.zero_point, requant)
    stored = layer.integers.astype(np.int8)
    op: Operator
    if groups == channels == out_channels and channels > 1:
        stored, op = stored[..., 0].transpose(1, 2, 0), DepthwiseConv2d(*common)
    elif groups > 1:
        op = GroupedConv2d(out_channels, groups, *common)
    else:
        op = Conv2d(out_channels, *common)
    return op, (source.name,), {"weight": np.ascontiguousarray(stored), **constants}


def letters_size(constant: Constant, letters: Mapping[str, int], letter: str) -> int:
    return constant.shape[letters[letter]]


def window(
    attributes: Mapping[str, object], dimensions: int
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """(stride, dilation, padding as top, left, bottom, right) of a convolution or pooling."""
    stride = list(attributes["strides"])  # type: ignore[call-overload]
    dilation = list(attributes["dilation"])  # type: ignore[call-overload]
    padding = list(attributes["padding"])  # type: ignore[call-overload]
    if dimensions == 1:
        before, after = padding if len(padding) == 2 else padding * 2
        return (stride[0], 1), (dilation[0], 1), (before, 0, after, 0)
    if min(*stride, *dilation) < 1 or min(padding) < 0:
        raise Declined(f"stride {stride}, dilation {dilation} or padding {padding} is out of range")
    top, left, bottom, right = padding
    return (stride[0], stride[1]), (dilation[0], dilation[1]), (top, left, bottom, right)


def dense(call: Call, walk: Walk) -> Expression:
    """matmul by a constant matrix on either side: each row of features becomes one of outputs."""
    if isinstance(walk.argument(call.arguments[0]), Constant):  # W x = (x^T W^T)^T
        matrix = walk.constant(call.arguments[0], "weight")
        x = walk.activation(call.arguments[1])
        if len(x.shape) < 2 or len(matrix.shape) < 2:
            raise Declined(f"a product of shapes {matrix.shape} and {x.shape}")
        axes = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
        turned = transposed(x, axes)
        assert isinstance(turned, Activation)
        shape = (*call.shape[:-2], call.shape[-1], call.shape[-2])
        product = rows_product(walk, turned, as_matrix(matrix, x).each(np.transpose), shape)
        result = transposed(product, axes)
        assert isinstance(result, Expression)
        return replace(result, bias_axis=len(shape) - 2)
    x = walk.activation(call.arguments[0])
    matrix = as_matrix(walk.constant(call.arguments[1], "weight"), x)
    return rows_product(walk, x, matrix, call.shape)


def as_matrix(constant: Constant, x: Activation) -> Constant:
    """A constant without the leading axes of size 1 that broadcasting allows."""
    if len(constant.shape) < 2 or prod(constant.shape[:-2]) != 1:
        raise Declined(f"shapes {x.shape} and {constant.shape}: expected one constant matrix")
    return constant.each(lambda array: array.reshape(constant.shape[-2:]))


def rows_product(walk: Walk, x: Activation, matrix: Constant, shape: Shape) -> Expression:
    """Rows (..., features) times a matrix (features, outputs); its columns follow the memory.

    One row is a dense layer; several are the pixels of a 1x1 convolution.
    """
    features, outputs = matrix.shape
    if x.shape[-1] != features:
        raise Declined(f"shapes {x.shape} and {matrix.shape}: expected rows of {features} features")
    rows = x.order.size // features
    places = x.order.reshape(rows, features)
    row, columns = places[:, :1] // features, places[0] % features
    if not np.array_equal(places, row * features + columns):  # rows are spread over memory
        x = arranged(walk, x, row_major(x.shape))
        row, columns = np.arange(rows)[:, None], np.arange(features)
    layer = weights(matrix, (1, 0))
    layer = Weights(np.ascontiguousarray(layer.integers[:, columns]), layer.scale)
    source = rows_of(walk, x, rows, features)

    def finish(fused: Fused) -> Finished:
        scaled = layer.times(fused.gain)
        requant, constants = requantized(source, scaled, fused)
        weight = scaled.integers.astype(np.int8)
        if rows == 1:
            return Dense(outputs, requant), (source.name,), {"weight": weight, **constants}
        places = ((1, 1), (1, 1), NO_PADDING, (1, 1))
        op = Conv2d(outputs, *places, source.zero_point, requant)
        return op, (source.name,), {"weight": weight[:, None, None], **constants}

    order = (row * outputs + np.arange(outputs)).ravel()
    device = (1, outputs) if rows == 1 else (*source.shape[:3], outputs)
    axis = len(shape) - 1
    return Expression(shape, order, device, finish, bias_axis=axis, takes_gain=True)


def rows_of(walk: Walk, x: Activation, rows: int, features: int) -> Tensor:
    """The tensor as one row, or as a map whose pixels are the rows."""
    shape = walk.tensors[x.tensor].shape
    if rows == 1:
        return walk.as_shape(x, (1, features))
    pixels = len(shape) == 4 and shape[3] == features
    return walk.as_shape(x, shape if pixels else (1, rows, 1, features))
