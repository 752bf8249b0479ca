# SPDX-License-Identifier: Apache-2.0
"""Inputs, constants and options of a TFLite operator, through TVM's converter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytailor.compiler.ir import Shape


def tensor_shape(tensor: Any) -> Shape:
    return tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))


def expanded_shape(shape: Shape, axis: int) -> list[int]:
    """With an axis of 1 where EXPAND_DIMS puts it; the last is -1."""
    sizes = list(shape)
    sizes.insert(axis + (len(sizes) + 1 if axis < 0 else 0), 1)
    return sizes


def options_of(operator: Any, name: str) -> Any | None:
    """The operator's table of options, of the type ``name``; None if it has none."""
    import tflite

    table, raw = getattr(tflite, name)(), operator.BuiltinOptions()
    if raw is None:
        return None
    table.Init(raw.Bytes, raw.Pos)
    return table


def options(operator: Any, name: str) -> Any:
    """The same, ValueError if it has none."""
    table = options_of(operator, name)
    if table is None:
        raise ValueError(f"it has no {name}")
    return table


def operand(converter: Any, operator: Any, index: int) -> Any:
    """Input ``index`` as an expression of a known shape."""
    tensor = converter.get_input_tensors(operator)[index]
    return converter.bb.normalize(converter.get_tensor_expr(tensor))


def constant(converter: Any, operator: Any, index: int, name: str) -> np.ndarray:
    tensor = converter.get_input_tensors(operator)[index]
    if converter.has_expr(tensor.tensor_idx):
        raise ValueError(f"its {name} is computed by the model, expected a constant")
    return np.asarray(converter.get_tensor_value(tensor))


def real(converter: Any, operator: Any, index: int) -> Any:
    """Input ``index``, dequantized."""
    tensor = converter.get_input_tensors(operator)[index]
    expression = operand(converter, operator, index)
    return converter.dequantize(expression, tensor) if tensor.qnn_params else expression


def quantized(converter: Any, operator: Any, result: Any) -> list[Any]:
    """``result`` as the operator's output, quantized if that is."""
    tensor = converter.get_output_tensors(operator)[0]
    return [converter.quantize(result, tensor) if tensor.qnn_params else result]
