# SPDX-License-Identifier: Apache-2.0
"""Runs an integer graph on the host by the numpy meaning of its operators: the reference that
emitted code is compared with, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.targets.errors import InputError


def execute_all(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the graph for a batch: inputs are int8 (N, *shape[1:]) by name."""
    values: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        shape = graph.tensors[name].shape
        array = inputs[name]
        if array.dtype != np.int8 or array.shape[1:] != shape[1:]:
            raise InputError(
                f"input {name} of graph {graph.name}: got {array.dtype} {array.shape}, "
                f"expected int8 (N, {', '.join(map(str, shape[1:]))})"
            )
        values[name] = array
    for node in graph.nodes:
        operands = tuple(values[name] for name in node.inputs)
        values[node.output] = node.op.reference(operands, node.constants)
    return values


def execute(graph: Graph, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """The outputs, in graph order, for batches of the inputs, in graph order."""
    values = execute_all(graph, dict(zip(graph.inputs, inputs, strict=True)))
    return tuple(values[name] for name in graph.outputs)


def equal(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> bool:
    """Whether all batches of outputs are the same integers."""
    return all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))


def random_inputs(graph: Graph, count: int, seed: int = 0) -> list[np.ndarray]:
    """Seeded int8 inputs over the whole range, one batch a graph input."""
    rng = np.random.default_rng(seed)
    shapes = [graph.tensors[t].shape for t in graph.inputs]
    return [rng.integers(-128, 128, (count, *shape[1:])).astype(np.int8) for shape in shapes]


def check_inputs(graph: Graph, inputs: Sequence[np.ndarray]) -> None:
    """InputError unless ``inputs`` are int8 batches of the graph inputs, in order."""
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{graph.name} has {len(graph.inputs)} inputs, got {len(inputs)} arrays")
    for name, array in zip(graph.inputs, inputs, strict=True):
        shape = graph.tensors[name].shape
        if array.dtype != np.int8 or array.shape[1:] != shape[1:] or not len(array):
            raise InputError(
                f"input {name}: got {array.dtype} {array.shape}, expected int8 with shape "
                f"(N, {', '.join(map(str, shape[1:]))})"
            )
