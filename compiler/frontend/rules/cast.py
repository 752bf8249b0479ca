# SPDX-License-Identifier: Apache-2.0
"""Other types for the same numbers. An integer input that is cast to float is read as it is, as the
pixels of a camera are: its scale is 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    FloatInput,
    Pointwise,
    Value,
)
from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules
from tinytailor.compiler.ops.traits.constants import INTEGERS

CONSTANTS = ("bool", "float32", "int32", "int64")  # types that they are cast to


def cast(call: Call, builder: GraphBuilder) -> Value:
    """Also what importers write round an integer pooling, where the numbers stay what they are."""
    value = builder.argument(call.arguments[0])
    if isinstance(value, Constant):
        if value.scale is None and call.dtype in CONSTANTS:
            return Constant(value.array.astype(call.dtype))
        return value
    if isinstance(value, Activation) and not value.real:
        return value if call.dtype != "float32" else as_numbers(builder, value)
    if isinstance(value, Pointwise) and call.dtype == "bool":
        return lookup.applied(value, lambda real: real != 0)
    real = isinstance(value, Activation | Expression | FloatInput)
    if real and call.dtype not in ("float32", "float64"):
        raise Declined(f"it casts real numbers to {call.dtype}; quantize with QuantizeLinear")
    return value


def as_numbers(builder: GraphBuilder, value: Activation) -> Activation | Pointwise:
    """The integers of the model as real numbers."""
    tensor = builder.tensors[value.tensor]
    if value.tensor in builder.unquantized:
        builder.unquantized.discard(value.tensor)
        tensor = replace(tensor, scale=1.0, zero_point=-value.offset)
        builder.tensors[value.tensor] = tensor
    if (tensor.scale, tensor.zero_point) == (1.0, -value.offset):
        return replace(value, real=True)
    real = (INTEGERS + value.offset).astype(np.float32)
    return Pointwise(value.tensor, value.shape, value.order, real)


RULES = Rules(calls={"relax.astype": Rule(cast)}, onnx={"Cast": Onnx()})
