# SPDX-License-Identifier: Apache-2.0
"""A test chain as QDQ ONNX, opset 21, NCHW, all weights within -8..7.

    float input -> QuantizeLinear
    each layer:  DequantizeLinear -> Conv 1x1 or SquareDeformDW -> [Relu] -> QuantizeLinear
    DequantizeLinear -> float output

Weights are dequantized from int8, per channel along axis 0; biases from int32 at scale s_x * s_w.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import onnx
from chain import Chain, build_chain, channels_of, tensor_of
from onnx import TensorProto, helper, numpy_helper


@dataclass(slots=True)
class _Writer:
    chain: Chain
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, label: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), label))
        return label

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def dequantized(self, label: str, value: np.ndarray, scale: np.ndarray | np.float32) -> str:
        inputs = [
            self.constant(label, value),
            self.constant(f"{label}_scale", np.asarray(scale, np.float32)),
        ]
        attributes = {"axis": 0} if np.ndim(scale) else {}
        return self.node("DequantizeLinear", inputs, f"{label}_float", **attributes)

    def activation(self, source: str, index: int) -> str:
        """QuantizeLinear and DequantizeLinear of activation ``index``; the latter's output."""
        scale, zero_point = self.chain.activations[index]
        label = tensor_of(self.chain, index).name
        parameters = [
            self.constant(f"{label}_scale", np.array(scale, np.float32)),
            self.constant(f"{label}_zero_point", np.array(zero_point, np.int8)),
        ]
        integers = self.node("QuantizeLinear", [source, *parameters], f"{label}_int8")
        return self.node("DequantizeLinear", [integers, *parameters], f"{label}_float")

    def layer(self, x: str, index: int) -> str:
        layer, scale_x = self.chain.layers[index], np.float32(self.chain.activations[index][0])
        name, inputs, op, domain = layer.name, [x], "Conv", ""
        weight = layer.weight
        if layer.offset_weight is None:
            weight = weight[:, :, None, None]
        else:
            op, domain = "SquareDeformDW", "tinytailor"
            weight = weight.transpose(2, 0, 1)[:, None]
            bias, scale = np.array([layer.offset_bias], np.int32), np.float32(layer.offset_scale)
            inputs += [
                self.dequantized(f"{name}_offset_weight", layer.offset_weight, scale),
                self.dequantized(f"{name}_offset_bias", bias, scale_x * scale),
            ]
        inputs += [
            self.dequantized(f"{name}_weight", weight, layer.weight_scale),
            self.dequantized(f"{name}_bias", layer.bias, scale_x * layer.weight_scale),
        ]
        result = self.node(op, inputs, name, domain=domain)
        return self.node("Relu", [result], f"{name}_relu") if layer.relu else result


def build_onnx(chain: Chain, name: str = "chain") -> onnx.ModelProto:
    """The chain as ONNX, with the integers and scales of ``build_graph``."""
    writer, count = _Writer(chain), len(chain.layers)
    x = writer.activation("input", 0)
    for index in range(count):
        x = writer.activation(writer.layer(x, index), index + 1)
    ends = [
        helper.make_tensor_value_info(
            label, TensorProto.FLOAT, (1, channels_of(chain, index), chain.height, chain.width)
        )
        for label, index in (("input", 0), (x, count))
    ]
    graph = helper.make_graph(writer.nodes, name, ends[:1], ends[1:], writer.initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("tinytailor", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def main() -> None:
    """Write the chain 3 -> 16 -> deform -> 32 -> deform -> 32 on 32x32 maps to the file named."""
    path = sys.argv[1] if len(sys.argv) == 2 else "chain.onnx"
    model = build_onnx(build_chain())
    onnx.checker.check_model(model, check_custom_domain=False)
    onnx.save(model, path)
    print(f"{path}: compile it with `tinytailor compile {path} --target ultra96-v2 -o build/chain`")


if __name__ == "__main__":
    main()
