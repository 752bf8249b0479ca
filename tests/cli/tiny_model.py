# SPDX-License-Identifier: Apache-2.0
"""A small quantized ONNX model and data to run it on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 2, 8, 6)  # NCHW; on a device (1, 8, 6, 2)
CLASSES = 4
INPUT_SCALE, INPUT_ZERO = 0.02, 3


def write_model(path: Path) -> Path:
    """Convolution, ReLU, mean and classes: int8 weights by channel, Q/DQ pairs around all."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def pair(source: str, name: str, scale: float, zero: int, output: str | None = None) -> str:
        s = constant(f"{name}_scale", np.float32(scale))
        z = constant(f"{name}_zero", np.int8(zero))
        q = node("QuantizeLinear", [source, s, z], f"{name}_q")
        return node("DequantizeLinear", [q, s, z], output or f"{name}_dq")

    def weights(name: str, value: np.ndarray, scale: np.ndarray) -> str:
        zero = constant(f"{name}_zero", np.zeros(len(value), value.dtype))
        parts = [constant(name, value), constant(f"{name}_scale", scale), zero]
        return node("DequantizeLinear", parts, f"{name}_dq", axis=0)

    x = pair("input", "x", INPUT_SCALE, INPUT_ZERO)
    scale = rng.uniform(0.5, 1.5, CLASSES).astype(np.float32) / 500
    weight = weights("w", rng.integers(-127, 128, (CLASSES, 2, 3, 3)).astype(np.int8), scale)
    bias = weights("b", rng.integers(-90, 90, CLASSES).astype(np.int32), scale * INPUT_SCALE)
    y = node("Conv", [x, weight, bias], "conv", kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    y = pair(node("Relu", [y], "relu"), "y", 0.03, -128)
    y = pair(node("GlobalAveragePool", [y], "pool"), "p", 0.03, -128)
    pair(node("Flatten", [y], "flat", axis=1), "o", 0.03, -128, output="logits")
    ends = (
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, CLASSES))],
    )
    graph = helper.make_graph(nodes, "tiny", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def int8_inputs(rows: int) -> np.ndarray:
    """Rows as the device reads them: (rows, 8, 6, 2)."""
    rng = np.random.default_rng(1)
    return rng.integers(-128, 128, (rows, SHAPE[2], SHAPE[3], SHAPE[1])).astype(np.int8)


def only_json(text: str) -> dict[str, Any]:
    """The one JSON object that stdout consists of."""
    assert text.count("\n") == 1, text
    return json.loads(text)
