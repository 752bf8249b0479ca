# SPDX-License-Identifier: Apache-2.0
"""A quantized model cut at its integer tensors: one small model for each.

x_int8 -> DQ -> Conv -> Relu -> Q -> y_int8     is a model from x_int8 to y_int8
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tinytailor.compiler.quantize.plan import VIEWS
from tinytailor.compiler.references import onnx_session


def integer_tensors(model: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What onnxruntime computes for the result of every QuantizeLinear."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.INT8, None) for name in names
    )
    return dict(zip(names, onnx_session(watched).run(names, feeds), strict=True))


def layers(model: Any, integers: dict[str, np.ndarray]) -> Iterator[tuple[bytes, list[str]]]:
    """(model, its inputs) of every integer tensor that is computed from others."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for target in integers:
        nodes: list[Any] = []
        inputs: list[str] = []

        def collect(name: str, nodes: list[Any] = nodes, inputs: list[str] = inputs) -> None:
            if name in integers and nodes:
                if name not in inputs:
                    inputs.append(name)
                return
            node = makers.get(name)
            if node is None or any(node is other for other in nodes):
                return
            nodes.append(node)
            for source in node.input:
                collect(source)

        collect(target)
        computing = (
            {node.op_type for node in nodes} - VIEWS - {"QuantizeLinear", "DequantizeLinear"}
        )
        if not inputs or not computing:
            continue  # the border of the graph, or the same numbers in another shape
        yield cut(model, nodes, inputs, target, constants, integers), inputs


def cut(
    model: Any,
    nodes: list[Any],
    inputs: list[str],
    target: str,
    constants: dict[str, Any],
    integers: dict[str, np.ndarray],
) -> bytes:
    order = [node for node in model.graph.node if any(node is other for other in nodes)]
    end = helper.make_node(
        "DequantizeLinear", [target, *nodes[0].input[1:]], [f"{target}_end"], "end"
    )
    used = {name for node in order for name in node.input}
    graph = helper.make_graph(
        [*order, end],
        "layer",
        [helper.make_tensor_value_info(n, TensorProto.INT8, integers[n].shape) for n in inputs],
        [helper.make_tensor_value_info(f"{target}_end", TensorProto.FLOAT, None)],
        [constants[name] for name in sorted(used) if name in constants],
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    data: bytes = part.SerializeToString()
    return data
