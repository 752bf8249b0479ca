# SPDX-License-Identifier: Apache-2.0
"""Small float ONNX models, and how far integers are from onnxruntime on the quantized file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinytailor.compiler import load_model
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.references import fused, onnx_session


class Floats:
    """Appends nodes; every method returns the name of a tensor."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: tuple[int | str, ...], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def conv(self, x: str, shape: tuple[int, ...], bias: bool = True, **attributes: object) -> str:
        weight = self.rng.normal(0, 0.3, shape).astype(np.float32)
        inputs = [x, self.constant(weight)]
        if bias:
            inputs.append(self.constant(self.rng.normal(0, 0.5, shape[0]).astype(np.float32)))
        return self.node("Conv", inputs, **attributes)

    def batch_norm(self, x: str, channels: int) -> str:
        numbers = [
            self.rng.uniform(0.5, 2, channels),
            self.rng.normal(0, 1, channels),
            self.rng.normal(0, 1, channels),
            self.rng.uniform(0.2, 2, channels),
        ]
        inputs = [self.constant(values.astype(np.float32)) for values in numbers]
        return self.node("BatchNormalization", [x, *inputs])

    def bytes(self, y: str | list[str], opset: int = 17) -> bytes:
        names = [y] if isinstance(y, str) else y
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        graph = helper.make_graph(self.nodes, "test", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def differences(path: Path, x: np.ndarray) -> tuple[Graph, np.ndarray, np.ndarray]:
    """(graph, its real outputs, how many steps each is from onnxruntime), row by row.

    ``x``: float (N, *shape), channels first as the model has it.
    """
    graph = load_model(path)
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    steps = np.rint(x / np.float32(source.scale)) + source.zero_point
    integers = np.clip(steps, -128, 127).astype(np.int8)
    if source.shape[1:] != x.shape[1:]:
        integers = integers.transpose(0, 2, 3, 1) if x.ndim == 4 else integers.transpose(0, 2, 1)
    ours = execute(graph, integers.reshape(-1, *source.shape[1:]))[0]
    session = onnx_session(fused(path))
    name = session.get_inputs()[0].name
    real = np.concatenate([session.run(None, {name: row[None]})[0] for row in x])
    if real.ndim == 4:
        real = real.transpose(0, 2, 3, 1)
    expected = np.rint(real / np.float32(result.scale)).reshape(len(x), -1) + result.zero_point
    ours = ours.reshape(len(x), -1).astype(np.int64)
    gap = np.abs(ours - expected)
    return graph, (ours - result.zero_point) * np.float32(result.scale), gap
