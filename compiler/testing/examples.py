# SPDX-License-Identifier: Apache-2.0
"""The examples that stand in the files of operators, as graphs, and inputs for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.execute import random_integers
from tinytailor.compiler.ir import Graph, Shapes, Tensor
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

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Its inputs."""
        *dtypes, _ = make_key(self.op, self.shapes, "base").dtypes
        pairs = enumerate(zip(self.shapes, dtypes, strict=True))
        return tuple(Tensor(f"x{i}", shape, dtype) for i, (shape, dtype) in pairs)

    def graph(self, isa: str) -> Graph:
        return example_graph(make_key(self.op, self.shapes, isa))


def examples_of(operator: type[Operator]) -> tuple[Example, ...]:
    return tuple(Example(name, op, shapes) for name, (op, shapes) in operator.examples().items())


def every_example() -> tuple[Example, ...]:
    """Of all operators that latency tables have."""
    return tuple(example for operator in tabled().values() for example in examples_of(operator))


def random_inputs(graph: Graph, count: int, seed: int) -> list[np.ndarray]:
    """Batches; the first sample is all of the largest number, the second of the smallest."""
    rng = np.random.default_rng(seed)
    batches = []
    for name in graph.inputs:
        batch = random_integers(rng, graph.tensors[name], count)
        ends = np.iinfo(batch.dtype)
        batch[0], batch[1] = ends.max, ends.min
        batches.append(batch)
    return batches
