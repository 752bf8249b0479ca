# SPDX-License-Identifier: Apache-2.0
"""Samples to int8, node Compand of domain "tinytailor": ops/compand.py and onnx/compand.py.

It reaches the builder as one opaque call on the samples and the constants of the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Activation, Samples, Unknown, Value
from tinytailor.compiler.frontend.layout import map_order
from tinytailor.compiler.frontend.onnx.compand import ATTRIBUTES, DOMAIN, INPUTS, NAME
from tinytailor.compiler.frontend.relax_calls import Call, own_call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops.compand import OCTAVES, Compand

LAYOUT = "NCHW"
NODE, CALL = f"{DOMAIN}.{NAME}", "tinytailor.companded"
INT16, INT32 = np.iinfo(np.int16), np.iinfo(np.int32)


def compand(call: Call, builder: GraphBuilder) -> Value:
    x = builder.argument(call.arguments[0])
    if isinstance(x, Unknown):
        return x
    if not isinstance(x, Samples) or not builder.model.channels_first:
        raise Declined("expected an int16 input (1, C, T, W) of the model as its samples")
    *constants, settings = (builder.constant(a, "constant").array for a in call.arguments[1:])
    step, segmented, zero_point = map(int, settings)
    op = Compand(len(constants[0]), step, bool(segmented), zero_point)
    source = builder.tensors[x.tensor]
    types = {role: spec.dtype for role, spec in op.constants(source.shape).items()}
    arrays = {
        role: np.ascontiguousarray(array, types[role])
        for role, array in zip(INPUTS, constants, strict=True)
    }
    name = builder.new_name(call.origin)
    builder.append(op, (source.name,), Tensor(name, op.output_shape(source.shape)), arrays)
    builder.unquantized.add(name)
    return Activation(name, call.shape, map_order(call.shape, LAYOUT))


def from_onnx(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """One call on the samples, the constants and (step, segmented, zero point)."""
    from tvm import relax

    x, *given = inputs
    shape = shape_of(x)
    if len(shape) != 4 or str(x.ty.dtype) != "int16":
        raise ValueError(f"it reads {x.ty.dtype} {shape}, expected int16 samples (1, C, T, W)")
    if len(given) != len(INPUTS):
        raise ValueError(f"it has {len(given)} constants, expected {', '.join(INPUTS)}")
    arrays = {role: constant(item, role) for role, item in zip(INPUTS, given, strict=True)}
    step, segmented, zero_point = settings(attributes)
    check(arrays, shape[1], OCTAVES if segmented else 1)
    sizes = (1, len(arrays["source"]), -(-shape[2] // step), shape[3])
    numbers = np.array([step, segmented, zero_point], np.int64)
    constants = [relax.const(array) for array in (*arrays.values(), numbers)]
    return [own_call(CALL, [x, *constants], relax.TensorType(shape=sizes, dtype="int8"))]


def constant(item: Any, role: str) -> np.ndarray:
    if not hasattr(item, "value"):
        raise ValueError(f"its {role} is computed by the model, expected a constant")
    array: np.ndarray = item.value.numpy()
    if array.dtype.kind != "i":
        raise ValueError(f"its {role} is {array.dtype}, expected integers")
    return array.astype(np.int64)


def settings(attributes: Attributes) -> tuple[int, int, int]:
    values = []
    for name, low, high in zip(ATTRIBUTES, (1, 0, -128), (INT32.max, 1, 127), strict=True):
        value = attributes.get(name)
        if not isinstance(value, int) or not low <= value <= high:
            had = "is missing" if value is None else f"is {value!r}"
            raise ValueError(f"its attribute {name} {had}, expected a number {low} to {high}")
        values.append(value)
    step, segmented, zero_point = values
    return step, segmented, zero_point


def check(arrays: dict[str, np.ndarray], channels: int, columns: int) -> None:
    """ValueError for shapes that do not fit each other, and for numbers out of range."""
    filters = arrays["source"].size
    ends = ((0, channels - 1), (INT16.min, INT16.max), (0, INT32.max), (0, INT32.max))
    for (role, array), (low, high) in zip(arrays.items(), ends, strict=True):
        expected = (filters,) if role in INPUTS[:2] else (filters, columns)
        if array.shape != expected or not filters:
            raise ValueError(f"its {role} has shape {array.shape}, expected {expected}")
        if array.min() < low or array.max() > high:
            wrong = array.min() if array.min() < low else array.max()
            raise ValueError(f"its {role} holds {wrong}, expected {low} to {high}")


RULES = Rules(calls={CALL: Rule(compand, samples=True)}, onnx={NODE: Onnx(from_onnx, needed=None)})
