# SPDX-License-Identifier: Apache-2.0
"""Float TFLite models of one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Case:
    """Inputs are shapes (of float tensors) or constants; outputs are shapes."""

    operator: str
    inputs: tuple
    outputs: tuple[tuple[int, ...], ...]
    options: str = ""
    fields: tuple[tuple[str, object], ...] = ()


def case(operator: str, inputs: list, output: object, options: str = "", **fields: object) -> Case:
    outputs = output if isinstance(output, list) else [output]
    return Case(operator, tuple(inputs), tuple(outputs), options, tuple(fields.items()))


def model_of(case: Case) -> bytes:
    """The flatbuffer of one operator."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    buffers, tensors, inputs = [schema.BufferT()], [], []
    for index, item in enumerate([*case.inputs, *case.outputs]):
        tensor = schema.TensorT()
        tensor.name, tensor.buffer = f"t{index}", len(buffers)
        buffer = schema.BufferT()
        tensor.type = schema.TensorType.FLOAT32
        if isinstance(item, np.ndarray):
            tensor.shape = list(item.shape)
            if item.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
            buffer.data = np.frombuffer(item.tobytes(), np.uint8)
        else:
            tensor.shape = list(item)
            if index < len(case.inputs):
                inputs.append(index)
        buffers.append(buffer)
        tensors.append(tensor)
    code, node = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, case.operator)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    outputs = list(range(len(case.inputs), len(tensors)))
    node.opcodeIndex, node.inputs, node.outputs = 0, list(range(len(case.inputs))), outputs
    if case.options:
        node.builtinOptionsType = getattr(schema.BuiltinOptions, case.options)
        node.builtinOptions = getattr(schema, f"{case.options}T")()
        for name, value in case.fields:
            setattr(node.builtinOptions, name, value)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.name = tensors, [node], "main"
    graph.inputs, graph.outputs = inputs, outputs
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
