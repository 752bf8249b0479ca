# SPDX-License-Identifier: Apache-2.0
"""What an ONNX model computes from shapes and small constants, computed once.

    Shape -> Gather -> Div -> Concat -> Slice, Reshape, Pad, Resize      (exporters write such)

Inputs have fixed shapes, so the results of these nodes are constants. How weights are quantized is
read from the graph, so it is left alone; parameters of operators that have no integer weights, as a
batch norm's, are real numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.model_file import inferred
from tinytailor.compiler.frontend.rules import ONNX

ROUNDS = 8  # a Shape may follow a Slice whose end follows another Shape
MAX_ELEMENTS = 4096  # of a shape, or of what shapes are computed with
KEPT = {"QuantizeLinear", "If", "Loop", "Scan"}
REAL_PARAMETERS = {name for name, form in ONNX.items() if form.real_parameters}


def fold(model: Any) -> None:
    """Replace, in place, nodes that only depend on shapes and small constants by constants."""
    for _ in range(ROUNDS):
        if not fold_once(model):
            return


def fold_once(model: Any) -> bool:
    """Whether a node was folded whose result may make more shapes known."""
    from onnx import numpy_helper

    arrays = {
        t.name: numpy_helper.to_array(t)
        for t in model.graph.initializer
        if np.prod(t.dims, dtype=np.int64) <= MAX_ELEMENTS
    }
    asked = any(node.op_type in ("Shape", "Size") for node in model.graph.node)
    shapes = known_shapes(model) if asked else {}
    kept, folded = [], []
    weights = quantized_weights(model)
    for node in model.graph.node:
        left = node.op_type in KEPT or any(name in weights for name in node.output)
        values = None if left else evaluated(model, node, arrays, shapes)
        if values is None:
            kept.append(node)
            continue
        for name, value in zip(node.output, values, strict=False):
            arrays[name] = value
            if node.op_type != "Constant":
                folded.append(numpy_helper.from_array(value, name))
        if node.op_type == "Constant":
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(folded)
    return bool(folded) and asked


def quantized_weights(model: Any) -> set[str]:
    """Results of DequantizeLinear that something else than REAL_PARAMETERS reads."""
    made = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.output}
    readers = [node for node in model.graph.node if node.op_type not in REAL_PARAMETERS]
    read = {name for node in readers for name in node.input}
    return made & (read | {value.name for value in model.graph.output})


def evaluated(
    model: Any, node: Any, arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]
) -> list[np.ndarray] | None:
    """The results of a node that depends on constants only, if they are known."""
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Constant" and [a.name for a in node.attribute] == ["value"]:
        tensor = node.attribute[0].t
        small = np.prod(tensor.dims, dtype=np.int64) <= MAX_ELEMENTS
        return [numpy_helper.to_array(tensor)] if small else None
    feeds = {name: arrays[name] for name in node.input if name in arrays}
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        feeds = {node.input[0]: np.broadcast_to(np.float32(0), shapes[node.input[0]])}
    if not node.input or not all(name in feeds for name in node.input if name):
        return None
    if node.op_type == "DequantizeLinear" and feeds[node.input[1]].size == 1:
        # the quantizers write scales of shape (1,) and zero points of shape ()
        integers, scale, *zero = (feeds[name].astype(np.float32) for name in node.input if name)
        return [(integers - (zero[0].reshape(()) if zero else 0)) * scale.reshape(())]
    inputs = [helper.make_tensor_value_info(name, 0, None) for name in feeds]
    outputs = [helper.make_tensor_value_info(name, 0, None) for name in node.output]
    graph = helper.make_graph([node], "one", inputs, outputs)
    one = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        results = ReferenceEvaluator(one).run(None, feeds)
    except Exception:  # a broken node: what reads it says so
        return None
    values = [np.asarray(value) for value in results]
    return values if all(value.size <= MAX_ELEMENTS for value in values) else None


def known_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Shapes without free sizes, by tensor name."""
    graph = inferred(model).graph
    constants = {tensor.name for tensor in graph.initializer}
    shapes = {}
    for value in [*graph.input, *graph.value_info]:
        tensor = value.type.tensor_type
        sizes = [int(size.dim_value) for size in tensor.shape.dim]
        if value.name not in constants and tensor.HasField("shape") and min(sizes, default=1) > 0:
            shapes[value.name] = tuple(sizes)
    return shapes
