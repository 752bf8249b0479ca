# SPDX-License-Identifier: Apache-2.0
"""The examples that stand in the files of operators, as graphs, and inputs for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.ir import Graph, Shapes
from tinytailor.compiler.opkey import example_graph, make_key
from tinytailor.compiler.ops import Operator, tabled


@dataclass(frozen=True)
class Example:
    """An operator on inputs of ``shapes``; its constants are those of the examples of its key."""

    name: str
    op: Operator
    shapes: Shapes

    def __str__(self) -> str:
        return self.name

    def graph(self, isa: str) -> Graph:
        return example_graph(make_key(self.op, self.shapes, isa))


def examples_of(operator: type[Operator]) -> tuple[Example, ...]:
    return tuple(Example(name, op, shapes) for name, (op, shapes) in operator.examples().items())


def every_example() -> tuple[Example, ...]:
    """Of all operators that latency tables have."""
    return tuple(example for operator in tabled().values() for example in examples_of(operator))


def random_inputs(graph: Graph, count: int, seed: int) -> list[np.ndarray]:
    """int8 batches; the first sample is all 127, the second all -128, the extremes of the range."""
    rng = np.random.default_rng(seed)
    batches = []
    for name in graph.inputs:
        batch = rng.integers(-128, 128, (count, *graph.tensors[name].shape[1:])).astype(np.int8)
        batch[0], batch[1] = 127, -128
        batches.append(batch)
    return batches
