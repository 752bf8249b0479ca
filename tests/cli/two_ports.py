# SPDX-License-Identifier: Apache-2.0
"""A quantized ONNX model with two inputs and two outputs: the sum of two maps, and the first."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 3, 4, 5)  # NCHW; on a device (1, 4, 5, 3)
SCALES = {"left": 0.02, "right": 0.05, "sum": 0.06, "kept": 0.02}
ZEROS = {"left": 3, "right": -7, "sum": 1, "kept": 3}


def two_ports() -> onnx.ModelProto:
    nodes, constants = [], []

    def pair(source: str, name: str, result: str) -> str:
        scale, zero = f"{name}_scale", f"{name}_zero"
        constants.append(numpy_helper.from_array(np.float32(SCALES[name]), scale))
        constants.append(numpy_helper.from_array(np.int8(ZEROS[name]), zero))
        nodes.append(
            helper.make_node("QuantizeLinear", [source, scale, zero], [f"{name}_q"], f"{name}_q")
        )
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q", scale, zero], [result], result)
        )
        return result

    a, b = pair("left", "left", "left_dq"), pair("right", "right", "right_dq")
    nodes.append(helper.make_node("Add", [a, b], ["added"], "added"))
    pair("added", "sum", "sum")
    nodes.append(helper.make_node("Relu", [a], ["positive"], "positive"))
    pair("positive", "kept", "kept")

    def ends(*names: str) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in names]

    graph = helper.make_graph(nodes, "ports", ends("left", "right"), ends("sum", "kept"), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
