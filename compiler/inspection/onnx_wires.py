# SPDX-License-Identifier: Apache-2.0
"""The constants of an ONNX graph in QDQ form, and where its real numbers and integers meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tinytailor.compiler.frontend.onnx.model_file import DYNAMIC
from tinytailor.compiler.quantize.plan import VIEWS

BORDERS = ("QuantizeLinear", "DequantizeLinear")
ACCUMULATOR = "int32"  # the type of biases
NARROW = ("int4", "uint4")  # two to a byte
WEIGHTS = ("float", "bfloat", "int8", "uint8", "int4", "uint4", "int16", "uint16")
Affine = tuple[str | None, float | None, int | None]  # integers, scale, zero point


def type_name(number: int) -> str:
    """As numpy has it: float32, int8, int4; undefined where the file does not say."""
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        return str(tensor_dtype_to_np_dtype(number).name)
    except (KeyError, TypeError, ValueError):
        return "undefined"


@dataclass(frozen=True, slots=True, eq=False)
class Wires:
    """Constants by name, what makes each tensor, and what reads it at which place."""

    nodes: tuple[Any, ...]
    constants: Mapping[str, Any]
    makers: Mapping[str, Any]
    readers: Mapping[str, list[tuple[Any, int]]]

    @classmethod
    def of(cls, graph: Any) -> Wires:
        constants = {tensor.name: tensor for tensor in graph.initializer}
        readers: dict[str, list[tuple[Any, int]]] = {}
        for node in graph.node:
            held = [item.t for item in node.attribute if item.name == "value"]
            if node.op_type == "Constant" and held and node.output:
                constants[node.output[0]] = held[0]
            for place, name in enumerate(node.input):
                readers.setdefault(name, []).append((node, place))
        makers = {name: node for node in graph.node for name in node.output}
        return cls(tuple(graph.node), constants, makers, readers)

    def border_behind(self, name: str) -> Any | None:
        """What quantizes an input of the graph, or dequantizes it, behind views perhaps."""
        for _ in self.nodes:
            readers = [node for node, place in self.readers.get(name, ()) if place == 0]
            border = next((node for node in readers if node.op_type in BORDERS), None)
            if border is not None or len(readers) != 1 or readers[0].op_type not in VIEWS:
                return border
            name = readers[0].output[0]
        return None

    def border_before(self, name: str) -> Any | None:
        """The same of an output."""
        for _ in self.nodes:
            maker = self.makers.get(name)
            if maker is None or maker.op_type not in VIEWS:
                return maker if maker is not None and maker.op_type in BORDERS else None
            name = maker.input[0]
        return None

    def integers(self, border: Any) -> str:
        """The type of the integers that ``border`` makes or reads."""
        zero = border.input[2] if len(border.input) > 2 else ""
        if zero in self.constants:
            return type_name(self.constants[zero].data_type)
        if border.op_type == "DequantizeLinear" and border.input[0] in self.constants:
            return type_name(self.constants[border.input[0]].data_type)
        given = next((item.i for item in border.attribute if item.name == "output_dtype"), 0)
        return type_name(given) if given else "uint8"

    def scales(self, border: Any) -> int:
        """How many it has; 0 where they are no constant."""
        scale = self.constants.get(border.input[1]) if len(border.input) > 1 else None
        return 0 if scale is None else prod(scale.dims)

    def affine(self, border: Any | None) -> Affine:
        """Of a tensor with one scale."""
        from onnx import numpy_helper

        if border is None or self.scales(border) != 1:
            return None, None, None
        scale = numpy_helper.to_array(self.constants[border.input[1]])
        zero = self.constants.get(border.input[2]) if len(border.input) > 2 else None
        zero_point = 0 if zero is None else int(numpy_helper.to_array(zero).reshape(-1)[0])
        return self.integers(border), float(scale.reshape(-1)[0]), zero_point

    def activations(self) -> list[str]:
        """Types of the integers that tensors of the model become."""
        found = set()
        for node in self.nodes:
            if node.op_type == "QuantizeLinear" and node.input[0] not in self.constants:
                found.add(self.integers(node))
            if node.op_type == "DequantizeLinear" and self.is_read_from_graph(node.input[0]):
                found.add(self.integers(node))
        return sorted(found)

    def is_read_from_graph(self, name: str) -> bool:
        return name not in self.makers and name not in self.constants

    def quantized_weights(self) -> Iterator[tuple[str, bool]]:
        """Type of each constant that is quantized, and whether it has a scale for each channel."""
        for node in self.nodes:
            if node.op_type in BORDERS and node.input[0] in self.constants:
                kind = self.integers(node)
                if kind != ACCUMULATOR:
                    yield kind, self.scales(node) > 1
            elif node.op_type in DYNAMIC and len(node.input) > 1:
                weight = self.constants.get(node.input[1])
                if weight is not None:
                    yield type_name(weight.data_type), False

    def weights(self) -> Iterator[Any]:
        """The constants that are neither arguments nor scales and zero points."""
        for name, tensor in self.constants.items():
            uses = self.readers.get(name, ())
            read = [node for node, place in uses if not place or node.op_type not in BORDERS]
            kind = type_name(tensor.data_type)
            bias = kind == ACCUMULATOR and any(node.op_type in BORDERS for node in read)
            if tensor.dims and read and (bias or kind.startswith(WEIGHTS)):
                yield tensor


def bytes_of(tensor: Any) -> int:
    import numpy as np
    from onnx.helper import tensor_dtype_to_np_dtype

    count = prod(tensor.dims)
    if type_name(tensor.data_type) in NARROW:
        return (count + 1) // 2
    return count * np.dtype(tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
