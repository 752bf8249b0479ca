# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes under construction from a TFLite file: what writers.py writes its operators with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.tflite.arguments import options_of, tensor_shape
from tinytailor.compiler.frontend.tflite.constants import stored
from tinytailor.compiler.ir import Shape

OPSET = 17
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
CLAMPS = {1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}  # RELU, RELU_N1_TO_1, RELU6


class Writer:
    """The ONNX nodes so far. Tensors keep their names, made unique by their index."""

    def __init__(self, model: Any, subgraph: Any) -> None:
        self.model, self.subgraph = model, subgraph
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names: list[str] = []
        self.known: dict[int, np.ndarray] = {}  # constants that operators made
        self.named: set[str] = set()  # names of nodes
        taken = set()
        for index in range(subgraph.TensorsLength()):
            name = subgraph.Tensors(index).name.split(";")[0]
            name = name if name and name not in taken else f"{name}_{index}"
            taken.add(name)
            self.names.append(name)

    def shape(self, index: int) -> Shape:
        return tensor_shape(self.subgraph.Tensors(index))

    def constant(self, index: int) -> np.ndarray | None:
        """The numbers of a tensor with a buffer, real ones where they are quantized."""
        if index in self.known:
            return self.known[index]
        tensor = self.subgraph.Tensors(index)
        buffer = self.model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return None
        array = stored(self.model, tensor)
        if array is None:
            raise Declined("its constants are of a type that is no number of 8, 16 or 32 bits")
        quantization = tensor.Quantization()
        count = quantization.ScaleLength() if quantization is not None else 0
        if count and array.dtype in (np.int8, np.uint8):
            zeros = [quantization.ZeroPoint(i) for i in range(quantization.ZeroPointLength())]
            along = [1] * array.ndim
            along[quantization.QuantizedDimension() if count > 1 else 0] = -1
            scale = np.array([quantization.Scale(i) for i in range(count)], np.float32)
            zero = np.array(zeros or [0], np.int32)
            steps = array.astype(np.int32) - zero.reshape(along if zero.size > 1 else -1)
            array = steps * scale.reshape(along if count > 1 else -1)
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def infer(self, operator: Any, begin: int) -> None:
        """The shapes of the results of an operator, whose nodes are those from ``begin`` on: what
        the file says of them may be a guess."""
        from onnx import TensorProto, helper
        from onnx.shape_inference import infer_shapes

        nodes = self.nodes[begin:]
        results = {self.names[operator.Outputs(i)]: i for i in range(operator.OutputsLength())}
        read = {name for node in nodes for name in node.input}
        known = [
            helper.make_tensor_value_info(self.names[i], TensorProto.FLOAT, self.shape(i))
            for i in (operator.Inputs(place) for place in range(operator.InputsLength()))
            if i >= 0 and self.names[i] in read
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results]
        constants = [tensor for tensor in self.constants if tensor.name in read]
        graph = helper.make_graph(nodes, "one", known, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        for value in infer_shapes(model, data_prop=True).graph.output:
            sizes = tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
            if value.type.tensor_type.HasField("shape") and all(sizes):
                self.subgraph.Tensors(operator.Outputs(results[value.name])).shape = sizes

    def add(self, kind: str, inputs: Sequence[str], base: str, **attributes: Any) -> str:
        """A node whose result is called after ``base`` and its number."""
        from onnx import helper

        output = f"{base}/{kind}_{len(self.nodes)}"
        plain = base in self.named or kind in ("Transpose", "Reshape")
        name = output if plain else base  # the node that does the work is called like the tensor
        self.named.add(name)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))
        return output

    def store(self, array: np.ndarray | np.float32, base: str) -> str:
        from onnx import numpy_helper

        name = f"{base}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name


class Operation:
    """One TFLite operator: its inputs as ONNX names or arrays, its options, its result."""

    def __init__(self, writer: Writer, operator: Any, kind: str) -> None:
        self.writer, self.operator, self.kind = writer, operator, kind
        self.inputs = [operator.Inputs(i) for i in range(operator.InputsLength())]
        self.outputs = [operator.Outputs(i) for i in range(operator.OutputsLength())]
        self.base = writer.names[self.outputs[0]]

    def option(self, table: str, field: str) -> Any:
        options = options_of(self.operator, f"{table}Options")
        if options is None:
            raise Declined("it has no options")
        return getattr(options, field)()

    def has(self, place: int) -> bool:
        return place < len(self.inputs) and self.inputs[place] >= 0

    def array(self, place: int, role: str) -> np.ndarray:
        array = self.writer.constant(self.inputs[place]) if self.has(place) else None
        if array is None:
            raise Declined(f"its {role} is computed by the model, expected a constant")
        return array

    def integers(self, place: int, role: str) -> list[int]:
        return [int(value) for value in self.array(place, role).reshape(-1)]

    def name(self, place: int) -> str:
        """An input as an ONNX name; a constant is stored."""
        if not self.has(place):
            raise Declined("one of its inputs is missing")
        array = self.writer.constant(self.inputs[place])
        return self.writer.names[self.inputs[place]] if array is None else self.store(array)

    def shape(self, place: int) -> Shape:
        return self.writer.shape(self.inputs[place])

    def store(self, array: np.ndarray | np.float32) -> str:
        return self.writer.store(array, self.base)

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        return self.writer.add(kind, inputs, self.base, **attributes)

    def map(self, place: int) -> str:
        """An input (1, H, W, C) with its channels first."""
        if len(self.shape(place)) != 4:
            raise Declined(f"a map of shape {self.shape(place)}, expected 4 dimensions")
        return self.add("Transpose", [self.name(place)], perm=TO_FIRST)

    def end(self, result: str, activation: int = 0, place: int = 0) -> None:
        """``result`` clamped is the output."""
        result = self.clamped(result, activation)
        if self.writer.nodes[-1].output[0] != result:
            self.add("Identity", [result])
        self.writer.nodes[-1].output[0] = self.writer.names[self.outputs[place]]

    def clamped(self, result: str, activation: int) -> str:
        if activation in CLAMPS:
            low, high = CLAMPS[activation]
            if high is None:
                return self.add("Relu", [result])
            bounds = [self.store(np.float32(bound)) for bound in (low, high)]
            return self.add("Clip", [result, *bounds])
        if activation:
            raise Declined(f"its fused activation function {activation} is not supported")
        return result

    def end_map(self, result: str, activation: int = 0) -> None:
        """The same for a map whose channels are first."""
        self.end(self.add("Transpose", [self.clamped(result, activation)], perm=TO_LAST))
