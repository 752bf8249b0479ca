# SPDX-License-Identifier: Apache-2.0
"""A TFLite file as its readers want it: each tensor has a name of its own, the shape that it has
when the model runs, and its numbers where they are known before.

A file that was converted with a free batch computes shapes while it runs, and what it says of the
tensors behind is a guess: 1 for all that the converter did not know. Readers go through the
operators in order and enter here what they find. The classes are those of the package tflite, which
TVM's importer asks for, with its names; whoever opens a file imports this file late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinytailor.compiler.ir import Shape

MOST_AXES = 7  # that are read: a damaged file may name billions


class BufferView(tflite.Buffer):
    """The bytes of an array."""

    def __init__(self, array: np.ndarray) -> None:
        self.bytes = np.frombuffer(array.tobytes(), np.uint8)

    def DataAsNumpy(self) -> np.ndarray:  # noqa: N802
        return self.bytes

    def DataLength(self) -> int:  # noqa: N802
        return len(self.bytes)


class TensorView(tflite.Tensor):
    """``shape`` and ``buffer`` may be set; the rest is what the file says."""

    def __init__(self, tensor: Any, name: str) -> None:
        self.Init(tensor._tab.Bytes, tensor._tab.Pos)
        axes = range(min(tensor.ShapeLength(), MOST_AXES))
        self.name, self.buffer = name, int(tensor.Buffer())
        self.shape: Shape = tuple(int(tensor.Shape(axis)) for axis in axes)

    def Name(self) -> bytes:  # noqa: N802
        return self.name.encode()

    def Shape(self, axis: int) -> int:  # noqa: N802
        return self.shape[axis]

    def ShapeAsNumpy(self) -> Any:  # noqa: N802
        return np.array(self.shape, np.int32) if self.shape else 0

    def ShapeLength(self) -> int:  # noqa: N802
        return len(self.shape)

    def Buffer(self) -> int:  # noqa: N802
        return self.buffer


class OperatorView(tflite.Operator):
    """Another operator in the place of one of the file. ``kind``: its name, ``options``: the name
    of its table and the fields of it."""

    def __init__(
        self,
        operator: Any,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: tuple[str, Mapping[str, int | Sequence[int]]] | None = None,
    ) -> None:
        self.Init(operator._tab.Bytes, operator._tab.Pos)
        self.kind, self.inputs, self.outputs = kind, list(inputs), list(outputs)
        self.options = options

    def Inputs(self, index: int) -> int:  # noqa: N802
        return self.inputs[index]

    def InputsLength(self) -> int:  # noqa: N802
        return len(self.inputs)

    def InputsAsNumpy(self) -> np.ndarray:  # noqa: N802
        return np.array(self.inputs, np.int32)

    def Outputs(self, index: int) -> int:  # noqa: N802
        return self.outputs[index]

    def OutputsLength(self) -> int:  # noqa: N802
        return len(self.outputs)

    def OutputsAsNumpy(self) -> np.ndarray:  # noqa: N802
        return np.array(self.outputs, np.int32)

    def BuiltinOptionsType(self) -> int:  # noqa: N802
        if self.options is None:
            return int(super().BuiltinOptionsType())
        return int(getattr(tflite.BuiltinOptions, self.options[0]))

    def BuiltinOptions(self) -> Any:  # noqa: N802
        return super().BuiltinOptions() if self.options is None else table(*self.options)


def table(name: str, fields: Mapping[str, int | Sequence[int]]) -> Any:
    """A table of options, alone in a buffer."""
    builder = flatbuffers.Builder(64)
    vectors = {
        field: builder.CreateNumpyVector(np.array(value, np.int32))
        for field, value in fields.items()
        if not isinstance(value, int)
    }
    getattr(tflite, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, vectors.get(field, value))
    builder.Finish(getattr(tflite, f"{name}End")(builder))
    data = builder.Output()
    root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
    return flatbuffers.table.Table(data, root)


class SubgraphView(tflite.SubGraph):
    """``operators`` may be replaced."""

    def __init__(self, subgraph: Any) -> None:
        self.Init(subgraph._tab.Bytes, subgraph._tab.Pos)
        self.operators = [subgraph.Operators(i) for i in range(subgraph.OperatorsLength())]
        self.tensors: list[TensorView] = []
        taken: set[str] = set()
        for index in range(subgraph.TensorsLength()):
            tensor = subgraph.Tensors(index)
            name = (tensor.Name() or b"").decode("utf-8", "replace")
            name = name if name and name not in taken else f"{name or 'tensor'}_{index}"
            taken.add(name)
            self.tensors.append(TensorView(tensor, name))

    def Tensors(self, index: int) -> TensorView:  # noqa: N802
        return self.tensors[index]

    def TensorsLength(self) -> int:  # noqa: N802
        return len(self.tensors)

    def Operators(self, index: int) -> Any:  # noqa: N802
        return self.operators[index]

    def OperatorsLength(self) -> int:  # noqa: N802
        return len(self.operators)


class ModelView(tflite.Model):
    def __init__(self, model: Any) -> None:
        self.Init(model._tab.Bytes, model._tab.Pos)
        self.subgraph = SubgraphView(model.Subgraphs(0))
        self.added: list[BufferView] = []

    def Subgraphs(self, index: int) -> Any:  # noqa: N802
        return self.subgraph if index == 0 else super().Subgraphs(index)

    def Buffers(self, index: int) -> Any:  # noqa: N802
        stored = super().BuffersLength()
        return super().Buffers(index) if index < stored else self.added[index - stored]

    def BuffersLength(self) -> int:  # noqa: N802
        return int(super().BuffersLength()) + len(self.added)

    def add(self, like: int, array: np.ndarray) -> int:
        """A new constant, of the type of tensor ``like``: its index."""
        tensors = self.subgraph.tensors
        tensors.append(TensorView(tensors[like], f"{tensors[like].name}_{len(tensors)}"))
        self.enter(len(tensors) - 1, array)
        return len(tensors) - 1

    def enter(self, index: int, array: np.ndarray) -> None:
        """Tensor ``index`` always is ``array``."""
        tensor = self.subgraph.tensors[index]
        tensor.shape, tensor.buffer = array.shape, self.BuffersLength()
        self.added.append(BufferView(array))
