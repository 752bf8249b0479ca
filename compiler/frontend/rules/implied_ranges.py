# SPDX-License-Identifier: Apache-2.0
"""Real numbers that an operator wants as a tensor although no QuantizeLinear follows them.

Three cases need none:

- their range is known for sure: that of the 256 results of a table, or of softmax. The tensor holds
  just this range. Quantizers leave tanh and others between real numbers.
- what follows only moves or selects them, and is quantized behind it. Rounding each number first
  gives the same:  Q(pad(x)) = pad(Q(x)),  Q(max(x, y)) = max(Q(x), Q(y))
- they are numbers of a tensor that was quantized, picked or moved: its scale holds them exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    FloatInput,
    Pointwise,
    Value,
)
from tinytailor.compiler.frontend.quantization import (
    Quantization,
    quantization_of,
    same_quantization,
)
from tinytailor.compiler.frontend.relax_calls import Ref, refs
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup


def settled(builder: GraphBuilder, argument: Any) -> Value:
    """The value behind an argument, as a tensor if one of the two cases applies."""
    value = builder.argument(argument)
    found = tensor_of(builder, value, argument.index) if isinstance(argument, Ref) else None
    if found is None:
        return value
    if isinstance(value, Pointwise) or (isinstance(value, Expression) and value.known):
        builder.ranged.add(argument.index)
    builder.values[argument.index] = found = replace(found, real=True)
    return found


def tensor_of(builder: GraphBuilder, value: Value, index: int) -> Activation | None:
    if isinstance(value, Pointwise) and value.origin is not None:
        source = quantization_of(builder.tensors[value.tensor])
        fitting = source if holds(source, value.real) else lookup.whole_range(value)
        return lookup.looked_up(builder, value, fitting, 0, value.origin)
    if isinstance(value, Expression) and value.known is not None:
        return emitted(builder, value, value.known, 0)
    if not isinstance(value, FloatInput | Expression):
        return None
    later = quantized_later(builder, index)
    if later is None or len(later) != 1:
        kept = value.kept if isinstance(value, Expression) else None
        return emitted(builder, value, kept, 0) if isinstance(value, Expression) and kept else None
    ((scale, zero_point, offset),) = later
    if isinstance(value, Expression):
        return emitted(builder, value, (scale, zero_point - offset), offset)
    tensor = builder.graph_input(value, scale, zero_point - offset)
    return Activation(tensor, value.shape, value.order, False, offset)


def holds(quantization: Quantization, numbers: np.ndarray) -> bool:
    """Whether a scale has each of these numbers exactly."""
    scale, zero_point = quantization
    steps = np.rint(numbers / np.float32(scale))
    inside = (steps + zero_point >= -128) & (steps + zero_point <= 127)
    return bool(inside.all() and (steps.astype(np.float32) * np.float32(scale) == numbers).all())


def common(builder: GraphBuilder, values: Sequence[Activation]) -> Quantization | None:
    """The quantization that all of these have."""
    first, *others = (quantization_of(builder.tensors[value.tensor]) for value in values)
    return first if all(same_quantization(first, other) for other in others) else None


def emitted(
    builder: GraphBuilder, value: Expression, quantization: Quantization, offset: int
) -> Activation:
    if value.origin is None:
        raise Declined("it is quantized by nothing")
    return builder.quantized(value, quantization, offset, value.origin)


def quantized_later(builder: GraphBuilder, index: int) -> set[tuple[float, int, int]] | None:
    """(scale, zero point, offset) of every QuantizeLinear that the value reaches through calls that
    only select; None if it reaches something else."""
    found: set[tuple[float, int, int]] = set()
    listing = builder.model.listing
    if any(isinstance(ref, Ref) and ref.index == index for ref in listing.outputs):
        return None
    for place, call in enumerate(listing.calls):
        if Ref(index) not in refs(call):
            continue
        if call.operator == "relax.quantize" and call.dtype in ("int8", "uint8"):
            scale, zero = call.arguments[1:3]
            single = all(isinstance(item, np.ndarray) and item.size == 1 for item in (scale, zero))
            if not single:
                return None
            offset = 128 if call.dtype == "uint8" else 0
            found.add((float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), offset))
            continue
        behind = quantized_later(builder, place) if call.operator in builder.selecting else None
        if behind is None:
            return None
        found |= behind
    return found
