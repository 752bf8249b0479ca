# SPDX-License-Identifier: Apache-2.0
"""The integer graph: the one representation between the front end and every back end.

A graph is a straight list of nodes in execution order over named tensors. Activations are int8,
NHWC or (1, features), one scale and zero point each: real = scale * (integer - zero_point). Inputs
may be int16, the samples of a sensor as they come, of which their readers make int8.
Weights, biases and multipliers are constants of their node. Cost, memory plan, C, HLS, execution
and reports are functions of this record; nothing here knows a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytailor.compiler.real_values import Standardization
from tinytailor.compiler.training_record import TrainingRecord
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.ops.base import Operator

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
Constants = Mapping[str, np.ndarray]  # arrays by role
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation: int8 by default, with real = scale * (integer - zero_point)."""

    name: str
    shape: Shape
    dtype: str = "int8"
    scale: float = 1.0
    zero_point: int = 0

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Border:
    """An input or output as its model has it: its own name, shape and type there.

    ``axes``: the axes of ``shape`` as they follow each other in memory, where the batch of one is
    left out or in front: (0, 2, 3, 1) for a map (1, C, H, W) that lies channels last. ``real``: how
    real numbers become the integers of an input, where that is more than its scale.
    """

    name: str
    shape: Shape
    dtype: str
    axes: tuple[int, ...]
    real: Standardization | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "axes": list(self.axes),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator applied to named tensors; ``constants`` holds its arrays by role."""

    name: str
    op: Operator
    inputs: tuple[str, ...]
    output: str
    constants: Constants = field(default_factory=dict)

    @property
    def constant_bytes(self) -> int:
        return sum(array.nbytes for array in self.constants.values())


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """``nodes`` in execution order; ``tensors`` by name; ``inputs`` and ``outputs`` are names.

    ``imported``: how many operations of each kind it was made from, if from a model file.
    ``notes``: what of the file it could not keep, by the name of the node.
    ``borders``: its inputs and outputs as the file has them, by tensor.
    ``training``: what it was trained on, if the file says so.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    imported: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    borders: Mapping[str, Border] = field(default_factory=dict)
    training: TrainingRecord | None = None

    def input_shapes(self, node: Node) -> Shapes:
        return tuple(self.tensors[name].shape for name in node.inputs)

    def node_macs(self, node: Node) -> int:
        return node.op.macs(*self.input_shapes(node))

    @property
    def macs(self) -> int:
        return sum(self.node_macs(node) for node in self.nodes)


def check(graph: Graph, *, weights: bool = True) -> Graph:
    """Return ``graph`` if it is well formed, else raise InputError naming the node.

    ``weights=False`` if its constants are placeholders, whose sums say nothing.
    """
    for what, names in (("input", graph.inputs), ("output", graph.outputs)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"graph {graph.name}: {what} {twice[0]} is listed more than once")
    both = [name for name in graph.outputs if name in graph.inputs]
    if both:
        raise InputError(f"graph {graph.name}: output {both[0]} is an input, nothing computes it")
    for tensor in graph.tensors.values():
        limits = _limits(tensor.dtype)
        if not limits.min <= tensor.zero_point <= limits.max or not 0 < tensor.scale < np.inf:
            raise InputError(
                f"graph {graph.name}: {tensor.name} has scale {tensor.scale:g} and zero point "
                f"{tensor.zero_point}, expected a positive scale and a zero point of "
                f"{tensor.dtype}, {limits.min} to {limits.max}"
            )
    known = set(graph.inputs)
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                raise InputError(
                    f"graph {graph.name}: node {node.name} reads {name} before it is written"
                )
        if node.output in known:
            raise InputError(
                f"graph {graph.name}: node {node.name} writes {node.output} a second time"
            )
        shape = node.op.output_shape(*graph.input_shapes(node))
        if shape != graph.tensors[node.output].shape:
            raise InputError(
                f"graph {graph.name}: node {node.name} makes shape {shape}, "
                f"but {node.output} is declared {graph.tensors[node.output].shape}"
            )
        check_types(graph, node)
        check_constants(graph, node)
        if weights:
            check_sums(graph, node)
        known.add(node.output)
    missing = [name for name in graph.outputs if name not in known]
    if missing:
        raise InputError(f"graph {graph.name}: outputs {missing} are never written")
    return graph


@cache
def _limits(dtype: str) -> np.iinfo[Any]:
    return np.iinfo(dtype)


@cache
def _name(dtype: np.dtype[Any]) -> str:
    """numpy makes the name of a type anew each time it is asked."""
    return dtype.name


def check_types(graph: Graph, node: Node) -> None:
    """Operators read int8 and write what they say; some take whatever there is, but not samples."""
    read = [graph.tensors[name].dtype for name in node.inputs]
    declared = graph.tensors[node.output].dtype
    samples = [n for n in node.inputs if n in graph.inputs and graph.tensors[n].dtype == "int16"]
    if samples and declared != "int8":
        raise InputError(
            f"graph {graph.name}: node {node.name} ({node.op.kind}) reads input {samples[0]}, "
            "int16 samples, expected an operator that makes int8 of them"
        )
    *wanted, made = node.op.dtypes(*read)
    if [*read, declared] != [*wanted, made]:
        raise InputError(
            f"graph {graph.name}: node {node.name} reads {', '.join(read)} and writes {declared}, "
            f"expected {', '.join(dict.fromkeys(wanted))} and {made}"
        )


def check_constants(graph: Graph, node: Node) -> None:
    """Those of the operator are there, and no others."""
    specs = node.op.constants(*graph.input_shapes(node))
    expected = {role: (spec.shape, spec.dtype) for role, spec in specs.items()}
    actual = {role: (array.shape, _name(array.dtype)) for role, array in node.constants.items()}
    if actual != expected:
        raise InputError(
            f"graph {graph.name}: node {node.name} has constants {actual}, expected {expected}"
        )


def check_sums(graph: Graph, node: Node) -> None:
    """Sums with its constants stay within 32 bits for any input."""
    reached = node.op.accumulators(graph.input_shapes(node), node.constants)
    if reached is None:
        return
    beyond = np.maximum(reached.high - INT32.max, INT32.min - reached.low)
    channel = int(beyond.argmax())
    if beyond[channel] > 0:
        low, high = int(reached.low[channel]), int(reached.high[channel])
        raise InputError(
            f"graph {graph.name}: node {node.name}: the accumulator of channel {channel} can reach "
            f"{high if high > INT32.max else low}, more than 32 bits hold; its bias or its scales "
            "are out of proportion, calibrate or train it again"
        )
