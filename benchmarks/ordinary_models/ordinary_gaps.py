# SPDX-License-Identifier: Apache-2.0
"""How far the integers of a network are from those of LiteRT or onnxruntime, on the host: at its
outputs, and layer by layer, where each layer reads what the other runtime computed before it.

    ours     x -> conv -> add -> softmax        steps add up on the way
    layers   x -> conv
                  theirs -> add
                            theirs -> softmax   one rounding each
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from comparison import bare  # of tests/zoo
from layers import integer_tensors, layers  # of tests/conformance
from node_tests import steps_apart

from tinytailor.compiler import execute, references
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.tflite.model_file import opened, origin_of
from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.compiler.ops import Reshape

MOVES = ("BATCH_TO_SPACE_ND", "EXPAND_DIMS", "RESHAPE", "SQUEEZE")


@dataclass(frozen=True)
class Gap:
    """Elements: how many, how many of them one step off, how many more, and by how much at most."""

    elements: int = 0
    one: int = 0
    more: int = 0
    largest: int = 0

    def __add__(self, other: Gap) -> Gap:
        return Gap(
            self.elements + other.elements,
            self.one + other.one,
            self.more + other.more,
            max(self.largest, other.largest),
        )


@dataclass(frozen=True)
class Layers:
    """(what it is, its gap) of every compared layer; ``skipped``: what those are that have no
    tensor to compare with."""

    gaps: tuple[tuple[str, Gap], ...]
    skipped: tuple[str, ...]

    @property
    def gap(self) -> Gap:
        return total([gap for _, gap in self.gaps])

    def differing(self) -> dict[str, int]:
        """How many elements differ by kinds of layers, of those where any do."""
        found: Counter[str] = Counter()
        for kind, gap in self.gaps:
            found[kind] += gap.one + gap.more
        return {kind: count for kind, count in sorted(found.items()) if count}


def gap_of(ours: np.ndarray, theirs: np.ndarray) -> Gap:
    return gap_in_steps(ours.astype(np.int64).ravel() - theirs.astype(np.int64).ravel())


def gap_in_steps(steps: np.ndarray) -> Gap:
    far = np.abs(steps)
    return Gap(far.size, int((far == 1).sum()), int((far > 1).sum()), int(far.max()))


def total(gaps: Sequence[Gap]) -> Gap:
    return sum(gaps, Gap())


def outputs(graph: Graph, file: Path, real: np.ndarray) -> Gap:
    """All outputs on the inputs ``real``, in the order of the file."""
    theirs = litert_outputs if file.suffix == ".tflite" else onnxruntime_outputs
    ours = execute(graph, device_inputs(graph, real))
    return total([gap_of(*pair) for pair in zip(ours, theirs(graph, file, real), strict=True)])


def layer_by_layer(graph: Graph, file: Path, real: np.ndarray) -> Layers:
    return (litert_layers if file.suffix == ".tflite" else onnxruntime_layers)(graph, file, real)


def device_inputs(graph: Graph, real: np.ndarray) -> np.ndarray:
    """The batch of the one input as the device reads it."""
    (name,) = graph.inputs
    tensor = graph.tensors[name]
    steps = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    return on_device(graph, name, np.clip(steps, -128, 127).astype(np.int8))


def on_device(graph: Graph, name: str, batch: np.ndarray) -> np.ndarray:
    """Samples of an input or output of the model, (N, *shape) or (N, 1, *shape), as they lie."""
    border, shape = graph.borders[name], graph.tensors[name].shape
    rows = [row.reshape(border.shape).transpose(border.axes).reshape(shape) for row in batch]
    return np.concatenate(rows)


def onnxruntime_outputs(graph: Graph, file: Path, real: np.ndarray) -> list[np.ndarray]:
    session = references.onnx_session(file)
    source = session.get_inputs()[0].name
    rows = [session.run(None, {source: row[None]}) for row in real]
    found = []
    for name, column in zip(graph.outputs, zip(*rows, strict=True), strict=True):
        tensor = graph.tensors[name]
        steps = np.rint(np.stack(column) / np.float32(tensor.scale)).astype(int)
        found.append(on_device(graph, name, steps + tensor.zero_point))
    return found


def onnxruntime_layers(graph: Graph, file: Path, real: np.ndarray) -> Layers:
    """The file cut at its integer tensors, each part imported alone. Parts that only move numbers
    are skipped."""
    model = onnx.load(file)
    source = model.graph.input[0].name
    batches = [integer_tensors(model, {source: row[None]}) for row in real]
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    left = {n.output[0]: makers.get(n.input[0], "input") for n in model.graph.node if n.output}
    gaps = []
    for part, inputs in layers(model, batches[0]):
        steps = [steps_apart(part, {n: b[n] for n in inputs}, file)[1] for b in batches]
        name = onnx.load_model_from_string(part).graph.node[-1].input[0]
        gaps.append((left.pop(name), total([gap_in_steps(y) for each in steps for y in each])))
    return Layers(tuple(gaps), tuple(left[name] for name in batches[0] if name in left))


def litert_outputs(graph: Graph, file: Path, real: np.ndarray) -> list[np.ndarray]:
    session = references.litert(as_litert_reads(file.read_bytes()))
    indices = [result["index"] for result in session.get_output_details()]
    found = read(session, indices, device_inputs(graph, real))
    return [on_device(graph, name, y) for name, y in zip(graph.outputs, found, strict=True)]


def read(session: Any, indices: Sequence[int], x: np.ndarray) -> list[np.ndarray]:
    """Tensors of LiteRT for a batch of its input."""
    source = session.get_input_details()[0]
    rows = []
    for sample in x:
        session.set_tensor(source["index"], sample.reshape(source["shape"]))
        session.invoke()
        rows.append([session.get_tensor(index) for index in indices])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def as_litert_reads(file: bytes) -> bytes:
    """Converters of 2019 gave biases the axis of their weights, which LiteRT refuses by now."""
    import tflite

    fixed = bytearray(file)
    subgraph = tflite.Model.GetRootAs(fixed, 0).Subgraphs(0)
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        table = getattr(tensor.Quantization(), "_tab", None)
        place = table.Offset(16) if table is not None and tensor.ShapeLength() == 1 else 0
        if place:  # quantized_dimension
            fixed[table.Pos + place : table.Pos + place + 4] = bytes(4)
    return bytes(fixed)


@dataclass(frozen=True, eq=False)
class Recorded:
    """A tensor of LiteRT for a batch, and what ours of the same place may be called at first."""

    labels: tuple[str, ...]
    quantization: tuple[float, int]
    array: np.ndarray

    def stands_for(self, tensor: Tensor) -> bool:
        named = any(re.fullmatch(rf"{re.escape(n)}(_\d+)?", tensor.name) for n in self.labels)
        ours = float(np.float32(tensor.scale)), tensor.zero_point
        same = bare(self.array.shape[1:]) == bare(tensor.shape)
        return named and ours == self.quantization and same


def recorded(file: Path, x: np.ndarray) -> list[Recorded]:
    """The int8 result of every operator, in the order of the file."""
    data = file.read_bytes()
    session = references.litert(as_litert_reads(data), all_tensors=True)
    details = {detail["index"]: detail for detail in session.get_tensor_details()}
    labels = {i: n for i, n in results(data, file).items() if details[i]["dtype"] is np.int8}
    arrays = read(session, list(labels), x)
    scales = [details[index]["quantization"] for index in labels]
    return [
        Recorded(names, (float(np.float32(scale)), zero), array)
        for names, (scale, zero), array in zip(labels.values(), scales, arrays, strict=True)
    ]


def results(data: bytes, file: Path) -> dict[int, tuple[str, ...]]:
    """The result of each operator by its index in the file, with the names that our graph may give
    it: its own, and through MOVES that of the operator before them. A dilated convolution is three
    operators there, and its result that of BATCH_TO_SPACE_ND."""
    model, subgraph = opened(data, file.name)
    found: dict[int, tuple[str, ...]] = {}
    for number in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(number)
        origin = origin_of(model, subgraph, operator)
        labels = (identifier(origin.label, origin.operator.lower()),)
        if origin.operator in MOVES:
            labels += found.get(operator.Inputs(0), ())
        found.update({operator.Outputs(i): labels for i in range(operator.OutputsLength())})
    return found


def litert_layers(graph: Graph, file: Path, real: np.ndarray) -> Layers:
    """Each node of the graph on LiteRT's tensors. What the front end put in or took apart has none:
    it is skipped, and what reads it gets ours."""
    x = device_inputs(graph, real)
    theirs, values = recorded(file, x), {graph.inputs[0]: x}
    gaps, skipped = [], []
    for node in graph.nodes:
        operands = tuple(values[name] for name in node.inputs)
        y = values[node.output] = node.op.reference(operands, node.constants)
        found = next((r for r in theirs if r.stands_for(graph.tensors[node.output])), None)
        if found is None or isinstance(node.op, Reshape):
            skipped.append(type(node.op).__name__)
            continue
        theirs.remove(found)
        gaps.append((type(node.op).__name__, gap_of(y, found.array)))
        values[node.output] = found.array.reshape(y.shape)
    return Layers(tuple(gaps), tuple(skipped))
