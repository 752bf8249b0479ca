# SPDX-License-Identifier: Apache-2.0
"""Functions of single elements as tables: whatever the model writes between dequantize and quantize
of one tensor is computed for its 256 integers, and becomes one Lookup:

    table[q] = clamp(round(f(s_x (q - z_x)) / s_y) + z_y)   half to even

Every step is rounded to float32, as the model's own arithmetic is; so the table holds what the
model's runtime computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Activation, Fused, Pointwise
from tinytailor.compiler.frontend.quantization import (
    Quantization,
    quantization_of,
    same_quantization,
)
from tinytailor.compiler.frontend.report import Declined, Origin
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops import Lookup
from tinytailor.compiler.ops.traits.constants import INTEGERS

Function = Callable[..., Any]  # of float64 arrays


def of_activation(builder: GraphBuilder, value: Activation) -> Pointwise:
    """A dequantized tensor as a function of its own integers."""
    tensor = builder.tensors[value.tensor]
    steps = (INTEGERS - tensor.zero_point).astype(np.float32)
    return Pointwise(value.tensor, value.shape, value.order, steps * np.float32(tensor.scale))


def applied(value: Pointwise, function: Function) -> Pointwise:
    return replace(value, real=function(value.real.astype(np.float64)).astype(np.float32))


def looked_up(
    builder: GraphBuilder,
    value: Pointwise,
    quantization: Quantization,
    offset: int,
    origin: Origin,
) -> Activation:
    """The Lookup node of ``value``, quantized."""
    name = builder.new_name(value.origin or origin)
    if np.any(np.isnan(value.real)):
        raise Declined("its result is not a number for some inputs", value.origin)
    source = builder.tensors[value.tensor]
    y = Tensor(name, source.shape, "int8", *quantization)
    builder.append(Lookup(), (source.name,), y, {"table": table(value.real, *quantization)})
    if source.name in builder.placeholders:
        builder.placeholders.add(name)
    return Activation(name, value.shape, value.order, False, offset)


def clipped(
    builder: GraphBuilder, value: Activation, low: int, high: int, origin: Origin
) -> Activation:
    """The integers of ``value`` within bounds, its scale as before."""
    source = builder.tensors[value.tensor]
    y = replace(source, name=builder.new_name(origin))
    table = np.clip(INTEGERS, low, high).astype(np.int8)
    builder.append(Lookup(), (source.name,), y, {"table": table})
    return replace(value, tensor=y.name)


def as_quantized(
    builder: GraphBuilder, part: Activation, fused: Fused, origin: Origin
) -> Activation:
    """``part`` with the scale and zero point of the output, through a Lookup if it has others."""
    quantization = quantization_of(fused.y)
    if same_quantization(quantization_of(builder.tensors[part.tensor]), quantization):
        return part
    value = of_activation(builder, part)
    return looked_up(builder, value, quantization, part.offset, origin)


def whole_range(value: Pointwise) -> Quantization:
    """The finest scale and the zero point that hold 0 and all of the 256 results."""
    if not np.all(np.isfinite(value.real)):
        raise Declined("its result is not finite for some inputs", value.origin)
    low, high = min(0.0, float(value.real.min())), max(0.0, float(value.real.max()))
    scale = float(np.float32((high - low) / 255)) or 1.0
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def table(real: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    steps = np.rint(real / np.float32(scale)) + zero_point
    return np.clip(steps, -128, 127).astype(np.int8)
