# SPDX-License-Identifier: Apache-2.0
"""Small QDQ ONNX models, built node by node, with what onnxruntime makes of them.

``Model`` appends nodes; every method returns the name of a float tensor. Quantization scales are
chosen by hand to use most of the int8 range.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinytailor.compiler import references
from tinytailor.compiler.ir import Graph

FLOAT = TensorProto.FLOAT


class Model:
    def __init__(self, seed: int = 0, dtype: str = "int8") -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.scales: dict[str, float] = {}  # float tensor -> its scale

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str = "", **attributes: object) -> str:
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def quantized(self, x: str, scale: float, zero_point: int = 0) -> str:
        """QuantizeLinear and DequantizeLinear; the zero point is that of int8."""
        place = len(self.nodes)
        offset = 128 if self.dtype == np.uint8 else 0
        s = self.constant(f"scale_{place}", np.float32(scale))
        z = self.constant(f"zero_{place}", np.asarray(zero_point + offset, self.dtype))
        q = self.node("QuantizeLinear", [x, s, z])
        y = self.node("DequantizeLinear", [q, s, z])
        self.scales[y] = scale
        return y

    def input(self, shape: tuple[int | str, ...], scale: float = 0.02, zero: int = 3) -> str:
        self.inputs.append(helper.make_tensor_value_info("x", FLOAT, list(shape)))
        return self.quantized("x", scale, zero)

    def weights(self, shape: tuple[int, ...], per_channel: bool = True) -> tuple[str, np.ndarray]:
        """int8 weights with one scale per output channel (axis 0): (float tensor, scales)."""
        place = len(self.constants)
        w = self.rng.integers(-127, 128, shape).astype(np.int8)
        count = shape[0] if per_channel else 1
        scale = self.rng.uniform(0.5, 1.5, count).astype(np.float32) / 127
        scale = scale if per_channel else scale.reshape(())
        names = [
            self.constant(f"w_{place}", w),
            self.constant(f"w_{place}_scale", scale),
            self.constant(f"w_{place}_zero", np.zeros(scale.shape, np.int8)),
        ]
        return self.node("DequantizeLinear", names, axis=0), scale

    def bias(self, x: str, scale: np.ndarray, channels: int) -> str:
        place = len(self.constants)
        unit = np.broadcast_to(np.float32(self.scales[x]) * scale, (channels,)).astype(np.float32)
        b = self.rng.integers(-3000, 3000, channels).astype(np.int32)
        names = [
            self.constant(f"b_{place}", b),
            self.constant(f"b_{place}_scale", unit),
            self.constant(f"b_{place}_zero", np.zeros(channels, np.int32)),
        ]
        return self.node("DequantizeLinear", names, axis=0)

    def conv(
        self,
        x: str,
        weight: tuple[int, ...],
        bias: bool = True,
        name: str = "",
        **attributes: object,
    ) -> str:
        w, scale = self.weights(weight)
        inputs = [x, w, self.bias(x, scale, weight[0])] if bias else [x, w]
        return self.node("Conv", inputs, name, **attributes)

    def gemm(self, x: str, weight: tuple[int, int], name: str = "") -> str:
        w, scale = self.weights(weight, per_channel=False)
        return self.node("Gemm", [x, w, self.bias(x, scale, weight[0])], name, transB=1)

    def save(
        self,
        path: Path,
        y: str,
        domains: tuple[str, ...] = (),
        opset: int = 17,
        dtype: int = FLOAT,
    ) -> Path:
        output = helper.make_tensor_value_info(y, dtype, None)
        graph = helper.make_graph(self.nodes, "test", self.inputs, [output], self.constants)
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        return path


def execute(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The graph in numpy on a batch of its one input."""
    values = {graph.inputs[0]: x}
    for node in graph.nodes:
        inputs = tuple(values[name] for name in node.inputs)
        values[node.output] = node.op.reference(inputs, node.constants)
    return values[graph.outputs[0]]


def as_on_device(x: np.ndarray, graph: Graph, name: str) -> np.ndarray:
    """An input or output of the model, as that of the graph lies."""
    return x.transpose(graph.borders[name].axes).reshape(graph.tensors[name].shape)


def differences(
    path: Path, graph: Graph, seed: int = 1, runs: int = 20, fused: bool = True
) -> tuple[int, int, int]:
    """(elements that differ from onnxruntime, largest difference, elements).

    ``fused``: whether onnxruntime may join operators with their quantization.
    """
    session = references.onnx_session(references.fused(path) if fused else path)
    shape = tuple(size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape)
    tensor = graph.tensors[graph.inputs[0]]
    result = graph.tensors[graph.outputs[0]]
    rng = np.random.default_rng(seed)
    expected, inputs = [], []
    for _ in range(runs):
        integers = rng.integers(-128, 128, shape)
        real = (integers - tensor.zero_point).astype(np.float32) * np.float32(tensor.scale)
        y = session.run(None, {"x": real})[0]
        steps = np.rint(y / np.float32(result.scale)).astype(np.int64) + result.zero_point
        expected.append(as_on_device(steps, graph, result.name).reshape(1, -1))
        inputs.append(as_on_device(integers, graph, tensor.name).astype(np.int8))
    actual = execute(graph, np.concatenate(inputs)).reshape(runs, -1).astype(np.int64)
    gap = np.abs(actual - np.concatenate(expected))
    return int(np.count_nonzero(gap)), int(gap.max()), gap.size
