# SPDX-License-Identifier: Apache-2.0
"""The integer graph of a model file beside what the runtime of its format computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tinytailor.compiler import references
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.compiler.mcu.interface import entry_of
from tinytailor.compiler.ops import Concat, Lookup, MaxPool2d, Pad, Reshape, Slice, Take, Transpose
from tinytailor.compiler.real_values import quantized

Reals = Mapping[str, np.ndarray]
MOVES = (Concat, Lookup, MaxPool2d, Pad, Reshape, Slice, Take, Transpose)


@dataclass(frozen=True)
class Gap:
    """Elements of all outputs: how many there are, how many differ, the largest difference."""

    elements: int
    differing: int
    largest: int

    def __str__(self) -> str:
        return f"{self.differing} of {self.elements} differ, at most by {self.largest}"


def channels_last(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) to (N, H, W, C) and (N, C, T) to (N, T, C); rows stay as they are."""
    return x if x.ndim < 3 else np.moveaxis(x, 1, -1)


def compared(actual: list[np.ndarray], expected: list[np.ndarray]) -> Gap:
    pairs = zip(actual, expected, strict=True)
    gap = np.concatenate([np.abs(a.astype(int).ravel() - b.astype(int).ravel()) for a, b in pairs])
    return Gap(gap.size, int(np.count_nonzero(gap)), int(gap.max()))


def session(model: bytes, fused: bool) -> Any:
    """``fused``: onnxruntime with its integer kernels, else node by node in float32, as the QDQ
    file says."""
    return references.onnx_session(references.fused(model) if fused else model)


def run(model: bytes, names: list[str] | None, real: Reals, fused: bool) -> list[np.ndarray]:
    """The tensors ``names``, or all outputs, for batches of the model's inputs."""
    runner = session(model, fused)
    count = len(next(iter(real.values())))
    rows = [runner.run(names, {n: x[i : i + 1] for n, x in real.items()}) for i in range(count)]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def on_device(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A batch of the model's tensor as it lies in a tensor of the graph, row by row."""
    turned = array if bare(array.shape[1:]) == bare(shape[1:]) else channels_last(array)
    assert bare(turned.shape[1:]) == bare(shape[1:]), (array.shape, shape)
    return turned.reshape(len(array), *shape[1:])


def quantized_inputs(graph: Graph, real: Reals) -> list[np.ndarray]:
    inputs = []
    for name, array in zip(graph.inputs, real.values(), strict=True):
        tensor = graph.tensors[name]
        rows = on_device(np.asarray(array, np.float32), tensor.shape)
        inputs.append(quantized(rows, entry_of(graph, name), tensor.zero_point))
    return inputs


def onnx_gap(path: Path, graph: Graph, real: Reals, fused: bool) -> Gap:
    """``real``: batches of the model's inputs by name."""
    expected = []
    for name, y in zip(graph.outputs, run(path.read_bytes(), None, real, fused), strict=True):
        tensor = graph.tensors[name]
        steps = np.rint(y / np.float32(tensor.scale)).astype(int) + tensor.zero_point
        expected.append(on_device(steps, tensor.shape))
    return compared(list(execute(graph, *quantized_inputs(graph, real))), expected)


def onnx_layers(path: Path, graph: Graph, real: Reals, fused: bool) -> list[tuple[str, Gap]]:
    """Each operator of the graph on what onnxruntime computed before it: single roundings do not
    add up. A tensor of ours is the nearest of theirs with its scale, zero point and size."""
    model = onnx.load(str(path))
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = [n for n in model.graph.node if quantizes(n, constants)]
    outputs = [n.output[0] for n in nodes]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in outputs)
    theirs: dict[tuple[float, int], list[np.ndarray]] = {}
    for node, array in zip(
        nodes, run(model.SerializeToString(), outputs, real, fused), strict=True
    ):
        offset = 128 if array.dtype == np.uint8 else 0
        scale, zero = (constants[name].reshape(-1)[0] for name in node.input[1:3])
        key = float(np.float32(scale)), int(zero) - offset
        theirs.setdefault(key, []).append(array.astype(int) - offset)
    values = dict(zip(graph.inputs, quantized_inputs(graph, real), strict=True))
    gaps = []
    for layer in graph.nodes:
        operands = tuple(values[name] for name in layer.inputs)
        y = values[layer.output] = layer.op.reference(operands, layer.constants)
        tensor = graph.tensors[layer.output]
        fitting = theirs.get((float(np.float32(tensor.scale)), tensor.zero_point), [])
        source = operands[0].shape
        sized = [array for array in fitting if array.size == y.size]
        clamp = layer.op.clamp()
        low, high = (clamp.low, clamp.high) if clamp else (-128, 127)  # a Relu behind it
        others = [np.clip(way, low, high) for array in sized for way in placed(array, y, source)]
        if not others:
            continue
        found = [compared([y], [other]) for other in others]
        best = min(range(len(found)), key=lambda index: found[index].largest)
        if not isinstance(layer.op, MOVES):
            gaps.append((f"{type(layer.op).__name__} {layer.name}", found[best]))
        elif found[best].largest > 1:
            continue  # written by the front end: what reads it is compared
        values[layer.output] = others[best].astype(np.int8)
    return gaps


def placed(array: np.ndarray, y: np.ndarray, source: tuple[int, ...]) -> list[np.ndarray]:
    """The ways a tensor of the model may lie on the device, in the shape of ``y``, which was made
    of a tensor of shape ``source``."""
    if array.ndim == 2 and len(array) == len(y) and len(bare(y.shape[1:])) > 1:
        return []  # a flattened map: its elements lie in another order
    ways = [array.reshape(y.shape), channels_last(array).reshape(y.shape)]
    if array.ndim == 2 and len(source) == 4 and np.prod(source) == array.size:
        n, h, w, c = source
        ways.append(channels_last(array.reshape(n, c, h, w)).reshape(y.shape))
    return ways


def quantizes(node: Any, constants: dict[str, np.ndarray]) -> bool:
    """Whether it is the QuantizeLinear of an activation."""
    kind = node.op_type == "QuantizeLinear" and len(node.input) > 2
    return kind and node.input[0] not in constants and set(node.input[1:3]) <= set(constants)


def litert_gap(path: Path, graph: Graph, count: int = 8, reference: bool = False) -> Gap:
    """Random inputs through LiteRT. ``reference``: its plain kernels, not the optimized ones."""
    session = references.litert(path, reference=reference)
    rng = np.random.default_rng(3)
    sources = session.get_input_details()
    steps = [np.rint(rng.normal(0, 40, (count, *s["shape"][1:]))) for s in sources]
    inputs = [np.clip(array, -128, 127).astype(np.int8) for array in steps]
    columns: list[list[np.ndarray]] = [[] for _ in graph.outputs]
    for sample in range(count):
        for source, name, batch in zip(sources, graph.inputs, inputs, strict=True):
            value = as_given(batch[sample : sample + 1], source["dtype"], graph.tensors[name])
            session.set_tensor(source["index"], value)
        session.invoke()
        for column, result in zip(columns, session.get_output_details(), strict=True):
            column.append(session.get_tensor(result["index"]))
    expected = [
        as_steps(np.concatenate(column), graph.tensors[name])
        for column, name in zip(columns, graph.outputs, strict=True)
    ]
    shaped = [
        batch.reshape(count, *graph.tensors[name].shape[1:])
        for batch, name in zip(inputs, graph.inputs, strict=True)
    ]
    return compared(list(execute(graph, *shaped)), expected)


def as_given(steps: np.ndarray, dtype: type, tensor: Tensor) -> np.ndarray:
    """int8 steps in the type that the model reads."""
    if dtype == np.float32:
        return (steps.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
    return (steps.astype(int) + (128 if dtype == np.uint8 else 0)).astype(dtype)


def as_steps(y: np.ndarray, tensor: Tensor) -> np.ndarray:
    if y.dtype == np.float32:
        return np.rint(y / np.float32(tensor.scale)).astype(int) + tensor.zero_point
    return y.astype(int) - (128 if y.dtype == np.uint8 else 0)


def litert_layers(path: Path, graph: Graph, seed: int = 0) -> list[tuple[str, Gap]]:
    """Each operator on what LiteRT computed before it, for one random input."""
    session = references.litert(path, all_tensors=True)
    rng, values = np.random.default_rng(seed), {}
    for source, name in zip(session.get_input_details(), graph.inputs, strict=True):
        steps = np.clip(np.rint(rng.normal(0, 40, source["shape"])), -128, 127).astype(np.int8)
        session.set_tensor(source["index"], as_given(steps, source["dtype"], graph.tensors[name]))
        values[name] = steps.reshape(graph.tensors[name].shape)
    session.invoke()
    details = [tensor for tensor in session.get_tensor_details() if tensor["dtype"] is np.int8]
    theirs = {tensor["name"]: session.get_tensor(tensor["index"]) for tensor in details}
    gaps = []
    for layer in graph.nodes:
        operands = tuple(values[name] for name in layer.inputs)
        y = values[layer.output] = layer.op.reference(operands, layer.constants)
        if layer.output in theirs:
            values[layer.output] = theirs[layer.output].reshape(y.shape)
            gap = compared([y], [values[layer.output]])
            gaps.append((f"{type(layer.op).__name__} {layer.name}", gap))
    return gaps
