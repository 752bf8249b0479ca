# SPDX-License-Identifier: Apache-2.0
"""Runs an integer graph on the host by the numpy meaning of its operators: the reference that
emitted code is compared with, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.targets.errors import InputError


def execute_all(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the graph for a batch: inputs (N, *shape[1:]) of their types by name."""
    values: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        shape, dtype = graph.tensors[name].shape, graph.tensors[name].dtype
        array = inputs[name]
        if array.dtype != dtype or array.shape[1:] != shape[1:]:
            raise InputError(
                f"input {name} of graph {graph.name}: got {array.dtype} {array.shape}, "
                f"expected {dtype} (N, {', '.join(map(str, shape[1:]))})"
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
    """Seeded inputs over the whole range of their type, one batch a graph input."""
    rng = np.random.default_rng(seed)
    return [random_integers(rng, graph.tensors[t], count) for t in graph.inputs]


def random_integers(rng: np.random.Generator, tensor: Tensor, count: int) -> np.ndarray:
    """A batch for ``tensor``."""
    ends = np.iinfo(tensor.dtype)
    numbers = rng.integers(ends.min, ends.max + 1, (count, *tensor.shape[1:]))
    return numbers.astype(tensor.dtype)


def check_inputs(graph: Graph, inputs: Sequence[np.ndarray]) -> None:
    """InputError unless ``inputs`` are batches of the graph inputs, of their types and in order."""
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{graph.name} has {len(graph.inputs)} inputs, got {len(inputs)} arrays")
    for name, array in zip(graph.inputs, inputs, strict=True):
        shape, dtype = graph.tensors[name].shape, graph.tensors[name].dtype
        if array.dtype != dtype or array.shape[1:] != shape[1:] or not len(array):
            raise InputError(
                f"input {name}: got {array.dtype} {array.shape}, expected {dtype} with shape "
                f"(N, {', '.join(map(str, shape[1:]))})"
            )
