# SPDX-License-Identifier: Apache-2.0
"""A quantized network as a standard ONNX file: opset 17, Q/DQ pairs, NCHW input.

    input  -Q-DQ-+-> Conv -> Relu -Q-DQ-> ... -> GlobalAveragePool -Q-DQ-> Flatten -Q-DQ-> logits
                 |
    int8 weight -DQ (per channel, axis 0)     int32 bias -DQ (scale s_in * s_w, zero point 0)

Input and output are float; the compiler strips the outermost pairs and has int8 at both ends. How
raw series are standardised travels along as metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinytailor.nas.files import write_atomically
from tinytailor.nas.network.topology import INPUT, AddLayer, ConvLayer, Layer, same_padding
from tinytailor.nas.quantization import Affine, QuantizedNetwork

OPSET = 17
IR_VERSION = 8
OUTPUT = "logits"


def export_onnx(
    network: QuantizedNetwork, path: Path, name: str, metadata: Mapping[str, str]
) -> None:
    """Write the model whole or not at all; it has passed onnx.checker."""
    data = onnx_model(network, name, metadata).SerializeToString(deterministic=True)
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def onnx_model(
    network: QuantizedNetwork, name: str, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    writer = _Writer(network)
    writer.pair("input", INPUT, network.input)
    for layer in network.topology.layers:
        writer.layer(layer)
    last = network.topology.layers[-1].name
    writer.node("Flatten", [f"{last}_dq"], "flatten_raw", axis=1)
    writer.pair("flatten_raw", "flatten", network.output, output=OUTPUT)
    _, height, width, channels = network.topology.input_shape
    classes = network.topology.shapes()[last][3]
    graph = helper.make_graph(
        writer.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, height, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, classes])],
        writer.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, producer_name="tinytailor")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    return model


class _Writer:
    """Collects nodes and constants; tensor T exists as T_raw (float), T_q (int8), T_dq (float)."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self.network = network
        self.shapes = network.topology.shapes()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def pair(self, source: str, name: str, affine: Affine, output: str | None = None) -> None:
        """QuantizeLinear and DequantizeLinear with the scale and zero point of ``affine``."""
        scale = self.constant(f"{name}_scale", np.asarray(affine.scale, np.float32))
        zero = self.constant(f"{name}_zero_point", np.asarray(affine.zero_point, np.int8))
        self.node("QuantizeLinear", [source, scale, zero], f"{name}_q")
        self.node("DequantizeLinear", [f"{name}_q", scale, zero], output or f"{name}_dq")

    def layer(self, layer: Layer) -> None:
        sources = [f"{name}_dq" for name in layer.sources]
        raw = f"{layer.name}_raw"
        if isinstance(layer, ConvLayer):
            self.conv(layer, sources[0], raw)
        elif isinstance(layer, AddLayer):
            self.node("Add", sources, raw)
        else:
            self.node("GlobalAveragePool", sources, raw)
        self.pair(raw, layer.name, self.network.activations[layer.name])

    def conv(self, layer: ConvLayer, source: str, raw: str) -> None:
        name, conv = layer.name, self.network.convs[layer.name]
        scale = self.constant(f"{name}.weight_scale", conv.weight_scale)
        weight = np.ascontiguousarray(conv.weight.transpose(0, 3, 1, 2))
        self.dequantized(f"{name}.weight", weight, scale, np.int8)
        step = np.float32(self.network.activations[layer.source].scale) * conv.weight_scale
        bias_scale = self.constant(f"{name}.bias_scale", step.astype(np.float32))
        self.dequantized(f"{name}.bias", conv.bias, bias_scale, np.int32)
        padding = same_padding(self.shapes[layer.source], layer.kernel, layer.stride)
        output = f"{name}_conv" if layer.relu else raw
        self.node(
            "Conv",
            [source, f"{name}.weight_dq", f"{name}.bias_dq"],
            output,
            kernel_shape=layer.kernel,
            strides=layer.stride,
            pads=padding,
            dilations=(1, 1),
            group=layer.channels if layer.depthwise else 1,
        )
        if layer.relu:
            self.node("Relu", [output], raw)

    def dequantized(
        self, name: str, value: np.ndarray, scale: str, dtype: type[np.signedinteger]
    ) -> None:
        """Integers with one scale a channel (axis 0) and zero points 0."""
        zero = self.constant(f"{name}_zero_point", np.zeros(len(value), dtype))
        integers = self.constant(name, value)
        self.node("DequantizeLinear", [integers, scale, zero], f"{name}_dq", axis=0)
