# SPDX-License-Identifier: Apache-2.0
"""Tensors seen as rows along some axes, which come last on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Activation
from tinytailor.compiler.frontend.layout import Axes, device_shape, order_of
from tinytailor.compiler.frontend.rules.operands import dequantized
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ir import Shape, Tensor


def with_last(builder: GraphBuilder, x: Activation, gone: Sequence[int]) -> tuple[Activation, Axes]:
    """``x`` with the axes ``gone`` last on the device, transposed there if need be."""
    x, axes = straight(builder, x)
    if set(axes[-len(gone) :]) != set(gone):
        axes = (*(axis for axis in axes if axis not in gone), *gone)
        x = arranged(builder, x, order_of(x.shape, axes))
    return x, axes


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """``source``: (1, ..., ``length``) on the device, in this ``order`` of the model's tensor."""

    source: Tensor
    order: np.ndarray
    length: int

    @property
    def device(self) -> Shape:
        return self.source.shape


def rows_along(builder: GraphBuilder, argument: Any, axis: int) -> Rows:
    x = dequantized(builder, argument, "computes with")
    axis %= len(x.shape)
    length = x.shape[axis]
    x, axes = with_last(builder, x, [axis])
    device = (1, length) if length == x.order.size else device_shape(x.shape, axes)
    return Rows(as_shape(builder, x, device), x.order, length)
