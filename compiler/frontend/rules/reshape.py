# SPDX-License-Identifier: Apache-2.0
"""Another shape over the same memory: nothing is computed, whatever reads it sees other axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Float,
    Indices,
    Samples,
    Unknown,
    Value,
    reshaped,
)
from tinytailor.compiler.frontend.relax_calls import Call, shape_of
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.tflite.arguments import constant, expanded_shape, operand
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import Reshape


def reshape(call: Call, builder: GraphBuilder) -> Value:
    """Also squeeze, expand_dims and flatten: only the resulting shape matters."""
    value = builder.argument(call.arguments[0])
    if isinstance(value, Unknown):
        return Unknown(call.shape)
    if isinstance(value, Constant):
        return value.each(lambda array: array.reshape(call.shape))
    assert not isinstance(value, Float | Samples)  # the importer asks others about these
    return reshaped(value, call.shape)


def as_shape(builder: GraphBuilder, value: Activation | Indices, shape: Shape) -> Tensor:
    """The tensor in another shape over the same memory (a Reshape node if it differs)."""
    tensor = builder.tensors[value.tensor]
    if tensor.shape == shape:
        return tensor
    y = replace(tensor, name=builder.names.fresh("reshape", "reshape"), shape=shape)
    return builder.append(Reshape(shape), (tensor.name,), y)


def copied(builder: GraphBuilder, value: Activation | Indices) -> Tensor:
    """A tensor of its own with the same bytes."""
    tensor = builder.tensors[value.tensor]
    y = replace(tensor, name=builder.names.fresh("copy", "copy"))
    return builder.append(Reshape(tensor.shape), (tensor.name,), y)


def expand_dims(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x = operand(converter, operator, 0)
    axis = int(constant(converter, operator, 1, "axis").reshape(-1)[0])
    return [relax.op.reshape(x, expanded_shape(shape_of(x), axis))]


RULES = Rules(
    calls={
        "relax.reshape": Rule(reshape, selects=True, in_model_order=True),
        "relax.squeeze": Rule(reshape),
        "relax.expand_dims": Rule(reshape),
    },
    onnx={name: Onnx(keeps_scale=True) for name in ("Flatten", "Reshape", "Squeeze", "Unsqueeze")},
    tflite={"EXPAND_DIMS": Tflite(expand_dims), "RESHAPE": Tflite(), "SQUEEZE": Tflite()},
)
