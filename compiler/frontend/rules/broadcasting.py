# SPDX-License-Identifier: Apache-2.0
"""Operands that numpy's rules repeat along axes: how they lie on the device beside each other.

Two tensors get axes in one common order, with one element where they are repeated; constants are
reduced to the axes along which they differ, so that one number per channel is stored as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Finished,
    Fused,
    Pointwise,
    reshaped,
)
from tinytailor.compiler.frontend.layout import Axes, axes_of, device_shape, order_of
from tinytailor.compiler.frontend.quantization import quantization_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.selection import repeated
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import AddConstant, Affine, ChannelLookup
from tinytailor.compiler.ops.channel_lookup import MOST


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Tensors of the device that broadcast to ``device``, and the order of the result."""

    tensors: tuple[Tensor, ...]
    device: Shape
    order: np.ndarray


def aligned(builder: GraphBuilder, values: Sequence[Activation], shape: Shape) -> Placed:
    """``values`` with axes in one order, so that they broadcast to the model's ``shape``."""
    first, *others = values
    if all(value.shape == first.shape for value in others):
        tensor = builder.tensors[first.tensor]
        placed = (arranged(builder, value, first.order) for value in others)
        same = (as_shape(builder, value, tensor.shape) for value in placed)
        return Placed((tensor, *same), tensor.shape, first.order)
    values = [with_rank(builder, value, len(shape)) for value in values]
    axes = common_axes(builder, values)
    device = device_shape(shape, axes)
    tensors = []
    for value in values:
        there = arranged(builder, value, order_of(value.shape, axes))
        sizes = tuple(value.shape[axis] for axis in axes)
        tensors.append(as_shape(builder, there, (*(1,) * (len(device) - len(sizes)), *sizes)))
    return Placed(tuple(tensors), device, order_of(shape, axes))


def with_rank(builder: GraphBuilder, value: Activation, rank: int) -> Activation:
    widened = reshaped(value, (*(1,) * (rank - len(value.shape)), *value.shape))
    assert isinstance(widened, Activation)
    return widened


def common_axes(builder: GraphBuilder, values: Sequence[Activation]) -> Axes:
    """An order that all have already, else that of the largest one."""
    first = builder.model.channels_first
    found = [
        axes_of(first, value.order, value.shape)
        for value in sorted(values, key=lambda value: -value.order.size)
    ]
    for axes in found:
        if axes is None:
            continue
        if all(np.array_equal(v.order, order_of(v.shape, axes)) for v in values):
            return axes
    return found[0] or tuple(range(len(values[0].shape)))


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """``x`` and its tensor, with factors and constants as they lie beside it, ``reduced``."""

    x: Activation
    source: Tensor
    gains: np.ndarray
    constants: np.ndarray

    def expression(
        self,
        finish: Callable[[Fused], Finished],
        again: Callable[[np.ndarray, np.ndarray], Expression],
    ) -> Expression:
        return Expression(self.x.shape, self.x.order, self.source.shape, finish, affine=again)


def affine(
    builder: GraphBuilder, x: Activation, gain: np.ndarray, constant: np.ndarray
) -> Expression:
    """gain * x + constant: real arrays that broadcast to the shape of ``x``."""
    scaled = placed(builder, x, gain, constant)

    def again(more: np.ndarray, shift: np.ndarray) -> Expression:
        return affine(builder, scaled.x, more * gain, more * constant + shift)

    def finish(fused: Fused) -> Finished:
        source, gains, constants = scaled.source, scaled.gains, scaled.constants
        if gains.size == 1 and abs(float(gains.flat[0])) == 1:
            return added(source, constants, fused, int(gains.flat[0]))
        every = np.broadcast_to(gains, constants.shape)
        op, arrays = Affine.from_scales(source, every, constants, fused.y, fused.low, fused.high)
        return op, (source.name,), arrays

    entering = x.tensor in builder.inputs.values()
    table = by_channel(scaled, lookup.of_activation(builder, x).real) if entering else None
    return scaled.expression(table or finish, again)


def affine_function(
    builder: GraphBuilder, value: Pointwise, gain: np.ndarray, constant: np.ndarray
) -> Expression | None:
    """gain * value + constant as a table for each channel; None where it can be none."""
    if value.tensor not in builder.inputs.values():
        return None
    x = Activation(value.tensor, value.shape, value.order, True)
    scaled = placed(builder, x, gain, constant)
    finish = by_channel(scaled, value.real)

    def again(more: np.ndarray, shift: np.ndarray) -> Expression:
        found = affine_function(builder, value, more * gain, more * constant + shift)
        if found is None:
            raise Declined("its constant repeats other axes than those before it")
        return found

    return finish and scaled.expression(finish, again)


def placed(builder: GraphBuilder, x: Activation, gain: np.ndarray, constant: np.ndarray) -> Scaled:
    if not np.all(np.isfinite(gain)) or not np.all(np.isfinite(constant)):
        raise Declined("its constant is not finite")
    whole = np.broadcast_shapes(x.shape, gain.shape, constant.shape)
    if whole != x.shape:
        x = repeated(builder, x, whole)
    x, axes = straight(builder, x)
    source = as_shape(builder, x, device_shape(x.shape, axes))
    arrays = (
        np.broadcast_to(array, x.shape).transpose(axes).reshape(source.shape)
        for array in (gain, constant)
    )
    return Scaled(x, source, *reduced(*arrays))


def by_channel(scaled: Scaled, values: np.ndarray) -> Callable[[Fused], Finished] | None:
    """A table for each of few channels, as an image has; ``values``: what its integers are."""
    channels = scaled.source.shape[-1]
    along = np.broadcast_shapes(scaled.gains.shape, scaled.constants.shape)
    if not 1 < channels <= MOST or along != (*(1 for _ in along[1:]), channels):
        return None
    factor, shift = (
        np.broadcast_to(array.reshape(-1), (channels,))
        for array in (scaled.gains, scaled.constants)
    )
    real = factor[:, None] * values.astype(np.float64) + shift[:, None]

    def finish(fused: Fused) -> Finished:
        table = lookup.table(real.astype(np.float32), *quantization_of(fused.y))
        bounded = np.clip(table, fused.low, fused.high).astype(np.int8)
        return ChannelLookup(), (scaled.source.name,), {"table": bounded}

    return finish


def added(source: Tensor, constants: np.ndarray, fused: Fused, sign: int) -> Finished:
    """AddConstant: the one number that all elements are multiplied by is 1 or -1."""
    op, bias = AddConstant.from_scales(source, constants, fused.y, fused.low, fused.high, sign)
    if constants.shape == (*(1 for _ in source.shape[1:]), source.shape[-1]):
        return op, (source.name,), {"bias": bias.reshape(-1)}
    return replace(op, shape=constants.shape), (source.name,), {"bias": bias}


def reduced(gains: np.ndarray, constants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with one element along the axes where neither changes; gains of one number as such."""
    for axis in range(gains.ndim):
        first = [array.take([0], axis) for array in (gains, constants)]
        if all(np.all(array == f) for array, f in zip((gains, constants), first, strict=True)):
            gains, constants = first
    if np.all(gains == gains.flat[0]):
        gains = gains.reshape(-1)[:1].reshape((1,) * gains.ndim)
    return gains, constants
