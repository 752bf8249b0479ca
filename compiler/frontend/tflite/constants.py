# SPDX-License-Identifier: Apache-2.0
"""What a TFLite model computes from shapes and constants, computed once.

    SHAPE -> STRIDED_SLICE -> PACK -> RESHAPE      (converters write such for a free batch)

Readers go through the operators in order and ask here first: the batch is 1 and the shapes of all
inputs are known by then, so the results of these operators are constants. Arithmetic is done with
whole numbers; of quantized and of real ones only what moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS
from tinytailor.compiler.frontend.tflite.arguments import options, tensor_shape
from tinytailor.compiler.frontend.tflite.model_file import operator_name, scale_of

DTYPES = {  # by tflite.TensorType
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    6: np.bool_,
    7: np.int16,
    9: np.int8,
}
WHOLE = (2, 4)  # int32 and int64
MOVES = {
    *("BROADCAST_TO", "CONCATENATION", "EXPAND_DIMS", "FILL", "GATHER", "PACK", "RESHAPE"),
    *("STRIDED_SLICE", "TILE", "TRANSPOSE", "ZEROS_LIKE"),
}
Arrays = Sequence[np.ndarray]
Evaluator = Callable[[Any, Arrays], np.ndarray]  # of an operator and its inputs


def stored(model: Any, tensor: Any) -> np.ndarray | None:
    """The numbers of a constant as the file has them; None if it is none, or of another type."""
    buffer = model.Buffers(tensor.Buffer())
    if not buffer.DataLength() or tensor.Type() not in DTYPES:
        return None
    array: np.ndarray = np.frombuffer(buffer.DataAsNumpy().tobytes(), DTYPES[tensor.Type()])
    return array.reshape(tensor_shape(tensor))


def computed(model: Any, subgraph: Any, operator: Any) -> np.ndarray | None:
    """The result of an operator of FOLDED, if all that it reads is known."""
    kind = operator_name(model, operator)
    if kind not in FOLDED or operator.OutputsLength() != 1:
        return None
    result = subgraph.Tensors(operator.Outputs(0))
    places = [operator.Inputs(index) for index in range(operator.InputsLength())]
    tensors = [subgraph.Tensors(place) for place in places if place >= 0]
    whole = result.Type() in WHOLE and not scale_of(result)
    if len(tensors) < len(places) or not (whole or kind in MOVES):
        return None
    if kind == "SHAPE":  # the one that needs no numbers
        return np.array(tensor_shape(tensors[0]), DTYPES[result.Type()])
    arrays = [stored(model, tensor) for tensor in tensors]
    known = [array for array in arrays if array is not None]
    scales = {tuple(scale_of(tensor)) for tensor in (tensors[0], result)}
    several = kind in ("CONCATENATION", "PACK") and scale_of(result)  # perhaps with scales each
    if len(known) < len(places) or len(scales) > 1 or several:
        return None
    try:
        return EVALUATORS[kind](operator, known).astype(DTYPES[result.Type()])
    except (ValueError, IndexError, TypeError, OverflowError):
        return None  # what reads it says that it is not constant


def strided_slice(operator: Any, inputs: Arrays) -> np.ndarray:
    x, begins, ends, steps = inputs
    found = options(operator, "StridedSliceOptions")
    index: list[Any] = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if found.EllipsisMask() >> axis & 1:
            index.append(Ellipsis)
        elif found.NewAxisMask() >> axis & 1:
            index.append(np.newaxis)
        elif found.ShrinkAxisMask() >> axis & 1:
            index.append(int(begin))
        else:
            first = None if found.BeginMask() >> axis & 1 else int(begin)
            last = None if found.EndMask() >> axis & 1 else int(end)
            index.append(slice(first, last, int(step)))
    return np.asarray(x[tuple(index)])


def bounded(shape: Iterable[int]) -> list[int]:
    """The shape of a result, before it takes memory."""
    sizes = [int(size) for size in shape]
    if prod(sizes) > MAX_ELEMENTS:
        raise ValueError(f"a constant of shape {sizes}")
    return sizes


def tile(operator: Any, inputs: Arrays) -> np.ndarray:
    x, counts = inputs
    return np.tile(x, bounded([x.size, *counts])[1:])


def gather(operator: Any, inputs: Arrays) -> np.ndarray:
    found = options(operator, "GatherOptions")
    if found.BatchDims():
        raise ValueError("it gathers by batch")
    return inputs[0].take(inputs[1], axis=found.Axis())


def reduced(function: Callable[..., Any]) -> Evaluator:
    def evaluate(operator: Any, inputs: Arrays) -> np.ndarray:
        x, axes = inputs
        keep = bool(options(operator, "ReducerOptions").KeepDims())
        found = function(x, axis=tuple(int(axis) for axis in axes.reshape(-1)), keepdims=keep)
        return np.asarray(found)

    return evaluate


def elementwise(function: Callable[..., Any]) -> Evaluator:
    return lambda operator, inputs: np.asarray(function(*inputs))


EVALUATORS: dict[str, Evaluator] = {
    "ADD": elementwise(np.add),
    "BROADCAST_TO": lambda _, x: np.broadcast_to(x[0], bounded(x[1])),
    "CAST": lambda _, x: x[0],
    "CONCATENATION": lambda op, x: np.concatenate(x, options(op, "ConcatenationOptions").Axis()),
    "EXPAND_DIMS": lambda _, x: np.expand_dims(x[0], int(x[1].item())),
    "FILL": lambda _, x: np.full(bounded(x[0]), x[1]),
    "FLOOR_DIV": elementwise(np.floor_divide),
    "GATHER": gather,
    "MAXIMUM": elementwise(np.maximum),
    "MINIMUM": elementwise(np.minimum),
    "MUL": elementwise(np.multiply),
    "PACK": lambda op, x: np.stack(x, options(op, "PackOptions").Axis()),
    "REDUCE_MAX": reduced(np.max),
    "REDUCE_MIN": reduced(np.min),
    "REDUCE_PROD": reduced(np.prod),
    "RESHAPE": lambda _, x: x[0].reshape([int(size) for size in x[1].reshape(-1)]),
    "STRIDED_SLICE": strided_slice,
    "SUB": elementwise(np.subtract),
    "SUM": reduced(np.sum),
    "TILE": tile,
    "TRANSPOSE": lambda _, x: x[0].transpose(x[1]),
    "ZEROS_LIKE": lambda _, x: np.zeros_like(x[0]),
}
FOLDED = sorted((*EVALUATORS, "SHAPE"))
