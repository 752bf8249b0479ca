# SPDX-License-Identifier: Apache-2.0
"""A network as a standard ONNX file: opset 17, NCHW input, float or quantized with Q/DQ pairs.

    input -Sub-Q-DQ-+-> Conv -> Relu -Q-DQ-> ... -> GlobalAveragePool -Q-DQ-> Flatten -Q-DQ-> logits
                    |
    int8 weight -DQ (per channel, axis 0)     int32 bias -DQ (scale s_in * s_w, zero point 0)

Input and output are float; the compiler strips the outermost pairs and has int8 at both ends. The
input is what the data hold: Sub takes the mean of each channel, and the first QuantizeLinear has a
scale for each, std s, where DequantizeLinear has s: so real numbers are standardised as they are
quantized. Each primitive writes its own nodes; a writer decides what its tensors and weights are
called, and what stands between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinytailor.compiler.frontend.onnx.compand import (
    compand_function,
    opset_import,
    samples_metadata,
)
from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Weights
from tinytailor.nas.layers.logits import flat_onnx
from tinytailor.nas.layers.onnx_step import OnnxStep, Stored
from tinytailor.nas.network.quantized_network import QuantizedNetwork
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.quantization import Affine
from tinytailor.targets.files import write_atomically

OPSET = 17
IR_VERSION = 8
OUTPUT = "logits"
NCHW = {0: 0, 1: 2, 2: 3, 3: 1}  # where the axes of (N, H, W, C) are


def export_onnx(
    network: QuantizedNetwork, path: Path, name: str, metadata: Mapping[str, str]
) -> None:
    """Write the quantized model whole or not at all; it has passed onnx.checker."""
    data = onnx_model(network, name, metadata).SerializeToString(deterministic=True)
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def onnx_model(
    network: QuantizedNetwork, name: str, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """The network with a Q/DQ pair behind every step."""
    writer, topology = _QdqWriter(network), network.topology
    writer.entry(network)
    for step in topology.steps:
        writer.step(step)
    flat_onnx(f"{topology.output}_dq", "flatten_raw", writer.node)
    writer.pair("flatten_raw", "flatten", network.output, output=OUTPUT)
    if writer.sampled and network.real is not None:
        metadata = {**metadata, **samples_metadata(network.real.step)}
    return _model(writer, topology, name, metadata)


def float_onnx_model(
    topology: Topology, folded: Mapping[str, Weights], name: str
) -> onnx.ModelProto:
    """The network in float, batch norm folded; tensors are called as in the topology."""
    writer = _FloatWriter(folded)
    for step in topology.steps:
        writer.step(step)
    flat_onnx(topology.output, OUTPUT, writer.node)
    return _model(writer, topology, name, {})


def _model(
    writer: _Writer, topology: Topology, name: str, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    _, height, width, channels = topology.input_shape
    classes = topology.shapes[topology.output][3]
    entering = TensorProto.INT16 if writer.sampled else TensorProto.FLOAT
    graph = helper.make_graph(
        writer.nodes,
        name,
        [helper.make_tensor_value_info("input", entering, [1, channels, height, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, classes])],
        writer.constants,
    )
    opset = [helper.make_opsetid("", OPSET), *([opset_import()] if writer.sampled else [])]
    functions = [compand_function(OPSET)] if writer.sampled else []
    model = helper.make_model(
        graph, opset_imports=opset, producer_name="tinytailor", functions=functions
    )
    model.ir_version = IR_VERSION
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    return model


class _Writer:
    """Collects nodes and constants; ``sampled``: the input is int16."""

    sampled = False

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(
        self, kind: str, inputs: Sequence[str], output: str, attributes: Mapping[str, Any]
    ) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name


class _FloatWriter(_Writer):
    """Tensors and weights are float and called by their own names."""

    def __init__(self, folded: Mapping[str, Weights]) -> None:
        super().__init__()
        self.folded = folded

    def step(self, step: PlacedStep) -> None:
        weights = {
            role: self.constant(f"{step.name}.{role}", value.numpy())
            for role, value in self.folded.get(step.name, {}).items()
        }
        place = OnnxStep(step.name, step.sources, step.shapes, weights, step.name, self.node)
        step.primitive.onnx(place)


class _QdqWriter(_Writer):
    """Tensor T exists as T_raw (float), T_q (int8), T_dq (float)."""

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__()
        self.network = network
        self.sampled = network.tensors[INPUT].dtype == "int16"

    def pair(self, source: str, name: str, affine: Affine, output: str | None = None) -> None:
        """QuantizeLinear and DequantizeLinear with the scale and zero point of ``affine``."""
        quantization = self.affine(name, affine)
        self.node("QuantizeLinear", [source, *quantization], f"{name}_q", {})
        self.node("DequantizeLinear", [f"{name}_q", *quantization], output or f"{name}_dq", {})

    def affine(self, name: str, affine: Affine) -> list[str]:
        scale = self.constant(f"{name}_scale", np.asarray(affine.scale, np.float32))
        zero = self.constant(f"{name}_zero_point", np.asarray(affine.zero_point, np.int8))
        return [scale, zero]

    def entry(self, network: QuantizedNetwork) -> None:
        """From the input as the data have it to its int8."""
        real, affine = network.real, network.input
        if self.sampled:
            return
        if real is None:
            self.pair("input", INPUT, affine)
            return
        axis = None if real.axis is None else NCHW[real.axis]
        along = [1, 1, 1, 1] if axis is None else [-1 if a == axis else 1 for a in range(4)]
        mean = self.constant("mean", np.array(real.offset, np.float32).reshape(along))
        self.node("Sub", ["input", mean], "centred", {})
        step = np.array(real.step if axis is not None else real.step[0], np.float32)
        zeros = np.full(step.shape, affine.zero_point, np.int8)
        quantization = [self.constant("steps", step), self.constant("zero_points", zeros)]
        attributes = {} if axis is None else {"axis": axis}
        self.node("QuantizeLinear", ["centred", *quantization], f"{INPUT}_q", attributes)
        back = self.affine(INPUT, affine)
        self.node("DequantizeLinear", [f"{INPUT}_q", *back], f"{INPUT}_dq", {})

    def integral(self, step: PlacedStep) -> None:
        """A step from integers to integers, whose result is then as any other."""
        reads = tuple(self.network.tensors[source] for source in step.sources)
        stored = step.primitive.stored(self.network.integers.get(step.name, {}), reads)
        weights = {
            role: self.constant(f"{step.name}.{role}", value.integers)
            for role, value in stored.items()
        }
        target = f"{step.name}_q"
        place = OnnxStep(step.name, step.sources, step.shapes, weights, target, self.node)
        step.primitive.onnx(place)
        quantization = self.affine(step.name, self.network.activations[step.name])
        self.node("DequantizeLinear", [target, *quantization], f"{step.name}_dq", {})

    def step(self, step: PlacedStep) -> None:
        if step.primitive.integral:
            self.integral(step)
            return
        network, raw = self.network, f"{step.name}_raw"
        reads = tuple(network.tensors[source] for source in step.sources)
        stored = step.primitive.stored(network.integers.get(step.name, {}), reads)
        weights = {
            role: self.dequantized(f"{step.name}.{role}", value) for role, value in stored.items()
        }
        sources = tuple(f"{name}_dq" for name in step.sources)
        place = OnnxStep(step.name, sources, step.shapes, weights, raw, self.node)
        step.primitive.onnx(place)
        self.pair(raw, step.name, network.activations[step.name])

    def dequantized(self, name: str, value: Stored) -> str:
        """Integers with one scale a channel (axis 0) and zero points 0."""
        assert value.scale is not None
        scale = self.constant(f"{name}_scale", value.scale)
        points = np.zeros(len(value.integers), value.integers.dtype)
        zero = self.constant(f"{name}_zero_point", points)
        integers = self.constant(name, value.integers)
        self.node("DequantizeLinear", [integers, scale, zero], f"{name}_dq", {"axis": 0})
        return f"{name}_dq"
