# SPDX-License-Identifier: Apache-2.0
"""Tensors seen as rows along one axis, which comes last on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.layout import device_shape, order_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.transpose import arranged, straight
from tinytailor.compiler.ir import Shape, Tensor


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
    x = activation(builder, argument)
    if not x.real:
        raise Declined("it computes with integers that were not dequantized")
    axis %= len(x.shape)
    length = x.shape[axis]
    x, axes = straight(builder, x)
    if axes[-1] != axis:
        axes = (*(a for a in axes if a != axis), axis)
        x = arranged(builder, x, order_of(x.shape, axes))
    device = (1, length) if length == x.order.size else device_shape(x.shape, axes)
    return Rows(as_shape(builder, x, device), x.order, length)
