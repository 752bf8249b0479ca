# SPDX-License-Identifier: Apache-2.0
"""Products with a constant matrix: a dense layer, or a 1x1 convolution over several rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    transposed,
)
from tinytailor.compiler.frontend.layout import row_major
from tinytailor.compiler.frontend.relax_calls import Call, shape_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.linear import in_flash, requantized, weights
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules, Tflite
from tinytailor.compiler.frontend.rules.transpose import arranged
from tinytailor.compiler.frontend.tflite.arguments import options_of, tensor_shape
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops import Conv2d, Dense
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.window import Window


def dense(call: Call, builder: GraphBuilder) -> Expression:
    """matmul by a constant matrix on either side: each row of features becomes one of outputs."""
    if isinstance(builder.argument(call.arguments[0]), Constant):  # W x = (x^T W^T)^T
        matrix = builder.constant(call.arguments[0], "weight")
        x = activation(builder, call.arguments[1])
        if len(x.shape) < 2 or len(matrix.shape) < 2:
            raise Declined(f"a product of shapes {matrix.shape} and {x.shape}")
        axes = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
        turned = transposed(x, axes)
        assert isinstance(turned, Activation)
        shape = (*call.shape[:-2], call.shape[-1], call.shape[-2])
        product = rows_product(builder, turned, as_matrix(matrix, x).each(np.transpose), shape)
        result = transposed(product, axes)
        assert isinstance(result, Expression)
        return replace(result, bias_axis=len(shape) - 2)
    x = activation(builder, call.arguments[0])
    matrix = as_matrix(builder.constant(call.arguments[1], "weight"), x)
    return rows_product(builder, x, matrix, call.shape)


def as_matrix(constant: Constant, x: Activation) -> Constant:
    """A constant without the leading axes of size 1 that broadcasting allows."""
    if len(constant.shape) < 2 or prod(constant.shape[:-2]) != 1:
        raise Declined(f"shapes {x.shape} and {constant.shape}: expected one constant matrix")
    return constant.each(lambda array: array.reshape(constant.shape[-2:]))


def rows_product(
    builder: GraphBuilder, x: Activation, matrix: Constant, shape: Shape
) -> Expression:
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
        x = arranged(builder, x, row_major(x.shape))
        row, columns = np.arange(rows)[:, None], np.arange(features)
    layer = weights(matrix, (1, 0))
    layer = replace(layer, integers=np.ascontiguousarray(layer.integers[:, columns]))
    source = rows_of(builder, x, rows, features)

    def finish(fused: Fused) -> Finished:
        scaled = layer.times(fused.gain)
        requant, constants = requantized(source, scaled, fused)
        weight = scaled.integers
        op: Operator = Dense(outputs, requant)
        if rows > 1:
            weight = weight[:, None, None]
            op = Conv2d(outputs, Window((1, 1)), source.zero_point, requant)
        op, stored = in_flash(builder, op, weight, layer.bits, fused, source.shape)
        return op, (source.name,), {"weight": stored, **constants}

    order = (row * outputs + np.arange(outputs)).ravel()
    device = (1, outputs) if rows == 1 else (*source.shape[:3], outputs)
    axis = len(shape) - 1
    return Expression(shape, order, device, finish, bias_axis=axis, takes_gain=True)


def rows_of(builder: GraphBuilder, x: Activation, rows: int, features: int) -> Tensor:
    """The tensor as one row, or as a map whose pixels are the rows."""
    shape = builder.tensors[x.tensor].shape
    if rows == 1:
        return as_shape(builder, x, (1, features))
    pixels = len(shape) == 4 and shape[3] == features
    return as_shape(builder, x, shape if pixels else (1, rows, 1, features))


def gemm(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """alpha A B + beta C; alpha goes to B and beta to C, which are constants."""
    from tvm import relax

    def scaled(item: Any, name: str) -> Any:
        factor = float(attributes.get(name, 1.0))
        return item if factor == 1 else relax.op.multiply(item, relax.const(factor, "float32"))

    a, b = inputs[:2]
    a = relax.op.permute_dims(a, [1, 0]) if attributes.get("transA", 0) else a
    b = relax.op.permute_dims(b, [1, 0]) if attributes.get("transB", 0) else b
    y = relax.op.matmul(a, scaled(b, "alpha"))
    c = inputs[2] if len(inputs) > 2 else None
    return [y if c is None else relax.op.add(y, scaled(c, "beta"))]


def fully_connected(converter: Any, operator: Any) -> Any:
    """The layer on rows of features, whatever the axes of its input: a map may be one row."""
    from tvm import relax
    from tvm.relax.frontend.tflite.tflite_frontend import get_tensor_name

    tensor, weight = converter.get_input_tensors(operator)[:2]
    name, table = get_tensor_name(converter.subgraph, tensor.tensor_idx), converter.exp_tab
    whole = table.get_expr(name)
    features = tensor_shape(weight.tensor)[-1]
    rows = (prod(tensor_shape(tensor.tensor)) // features, features)
    if tensor_shape(tensor.tensor) != rows:
        flat = converter.bb.emit(relax.op.reshape(whole, rows))
        table.set_expr(name, flat, force_override=True)
    try:
        result = converter.bb.emit(converter.convert_map["FULLY_CONNECTED"](op=operator))
        found = options_of(operator, "FullyConnectedOptions")
        expected = shape_of(result)
        if found is not None and found.KeepNumDims():
            expected = (*tensor_shape(tensor.tensor)[:-1], expected[-1])
        if shape_of(result) == expected:
            return result
        return relax.op.reshape(result, expected)
    finally:
        table.set_expr(name, whole, force_override=True)  # others may read it as a map


RULES = Rules(
    calls={"relax.matmul": Rule(dense, in_model_order=True)},
    onnx={"Gemm": Onnx(gemm), "MatMul": Onnx()},
    tflite={"FULLY_CONNECTED": Tflite(fully_connected, weights=True)},
)
