# SPDX-License-Identifier: Apache-2.0
"""Other orders of the axes. A transpose of the model moves nothing in memory by itself (layout.py);
where an operator needs another order than a tensor has, ``arranged`` appends the one Transpose,
over reshaped tensors, that makes it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Float,
    Samples,
    Unknown,
    Value,
    transposed,
)
from tinytailor.compiler.frontend.layout import (
    MAP_LAYOUTS,
    Axes,
    axes_of,
    factored,
    inverse,
    map_order,
    map_shape,
    order_of,
    usual_axes,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops import Transpose


def transpose(call: Call, builder: GraphBuilder) -> Value:
    value = builder.argument(call.arguments[0])
    rank = len(value.shape)
    axes = tuple(int(axis) % rank for axis in call.attributes["axes"] or reversed(range(rank)))
    if isinstance(value, Unknown):
        return Unknown(call.shape)
    if isinstance(value, Constant):
        return value.each(lambda array: array.transpose(axes))
    assert not isinstance(value, Float | Samples)  # the importer asks others about these
    return transposed(value, axes)


def arranged(builder: GraphBuilder, value: Activation, order: np.ndarray) -> Activation:
    """``value`` with its elements in memory as ``order`` says."""
    if np.array_equal(value.order, order):
        return value
    if value.tensor in builder.placeholders:  # where nothing is known, nothing can be wrong
        return replace(value, order=order)
    key = (value.tensor, inverse(value.order)[order].tobytes())
    if key not in builder.transposed:
        builder.transposed[key] = transposition(builder, value, order).name
    return replace(value, tensor=builder.transposed[key], order=order)


def transposition(builder: GraphBuilder, value: Activation, order: np.ndarray) -> Tensor:
    """The tensor a Transpose node writes: over the memory of ``value``, seen in the right shape."""
    shape, axes = factored(inverse(value.order)[order])
    source = as_shape(builder, value, (1, *shape))
    op = Transpose((0, *(axis + 1 for axis in axes)))
    name = builder.names.fresh("transpose", "transpose")
    y = replace(source, name=name, shape=op.output_shape(source.shape))
    return builder.append(op, (source.name,), y)


def straight(builder: GraphBuilder, value: Activation) -> tuple[Activation, Axes]:
    """``value`` with axes that are not interleaved in memory, transposed there if need be."""
    channels_first = builder.model.channels_first
    axes = axes_of(channels_first, value.order, value.shape)
    if axes is None:
        axes = usual_axes(channels_first, len(value.shape))
        value = arranged(builder, value, order_of(value.shape, axes))
    return value, axes


def as_map(builder: GraphBuilder, value: Activation, layout: str) -> Tensor:
    """The tensor as (1, height, width, channels), transposed in memory if it lies otherwise."""
    if layout not in MAP_LAYOUTS or len(layout) != len(value.shape):
        raise Declined(f"a map of shape {value.shape} in layout {layout} is not supported")
    value = arranged(builder, value, map_order(value.shape, layout))
    return as_shape(builder, value, map_shape(value.shape, layout))


RULES = Rules(
    calls={"relax.permute_dims": Rule(transpose, selects=True, in_model_order=True)},
    onnx={name: Onnx(keeps_scale=True) for name in ("DepthToSpace", "SpaceToDepth", "Transpose")},
    tflite={name: Tflite() for name in ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "TRANSPOSE")},
)
