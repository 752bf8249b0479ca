# SPDX-License-Identifier: Apache-2.0
"""int8 TFLite models of one operator, and what LiteRT makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tinytailor.compiler import references
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph


@dataclass(frozen=True)
class T:
    """A tensor: int8 and quantized, or with ``data`` a constant."""

    shape: tuple[int, ...]
    scale: float = 0.02
    zero_point: int = 3
    data: np.ndarray | None = None
    dtype: str = "int8"


def indices(*values: object) -> list[T]:
    """Constant inputs of whole numbers."""
    arrays = [np.array(value, np.int32) for value in values]
    return [T(array.shape, data=array) for array in arrays]


def save(
    path: Path,
    operator: str,
    inputs: list[T],
    output: T | list[T],
    options: str = "",
    **fields: object,
) -> Path:
    """``options``: the name of the operator's table of options, with these ``fields``."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    outputs = output if isinstance(output, list) else [output]
    buffers, tensors = [schema.BufferT()], []
    for index, spec in enumerate([*inputs, *outputs]):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{index}", list(spec.shape)
        tensor.buffer, tensor.type = len(buffers), schema.TensorType.INT8
        buffer = schema.BufferT()
        if spec.data is not None:
            buffer.data = np.frombuffer(spec.data.tobytes(), np.uint8)
        if spec.dtype == "int32" or (spec.data is not None and spec.data.dtype == np.int32):
            tensor.type = schema.TensorType.INT32
        else:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [spec.scale]
            tensor.quantization.zeroPoint = [spec.zero_point]
        buffers.append(buffer)
        tensors.append(tensor)
    code, node = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 1 if operator in ("HARD_SWISH", "ELU", "PRELU") else 2
    node.opcodeIndex, node.inputs = 0, list(range(len(inputs)))
    node.outputs = list(range(len(inputs), len(tensors)))
    if options:
        node.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        node.builtinOptions = getattr(schema, f"{options}T")()
        for name, value in fields.items():
            setattr(node.builtinOptions, name, value)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.name = tensors, [node], "main"
    graph.inputs = [i for i, spec in enumerate(inputs) if spec.data is None]
    graph.outputs = node.outputs
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def litert(path: Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of LiteRT for batches of inputs, one row per sample."""
    pytest.importorskip("ai_edge_litert")
    session = references.litert(path)
    sources, results = session.get_input_details(), session.get_output_details()
    rows: list[list[np.ndarray]] = [[] for _ in results]
    for sample in range(len(inputs[0])):
        for source, batch in zip(sources, inputs, strict=True):
            session.set_tensor(source["index"], batch[sample].reshape(source["shape"]))
        session.invoke()
        for result, found in zip(results, rows, strict=True):
            y = session.get_tensor(result["index"])
            found.append((y[0] if len(y) == 1 else y).copy())
    return [np.array(found) for found in rows]


def gap(path: Path, graph: Graph, runs: int = 20) -> np.ndarray:
    """Distances between the graph and LiteRT on random inputs."""
    rng = np.random.default_rng(1)
    inputs = [
        rng.integers(-128, 128, (runs, *graph.tensors[name].shape[1:])).astype(np.int8)
        for name in graph.inputs
    ]
    pairs = zip(execute(graph, *inputs), litert(path, inputs), strict=True)
    gaps = [np.abs(actual.astype(int) - expected).ravel() for actual, expected in pairs]
    return np.concatenate(gaps)
