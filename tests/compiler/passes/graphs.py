# SPDX-License-Identifier: Apache-2.0
"""Helpers for the tests of the passes."""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph


def inputs_of(graph: Graph, count: int = 4, seed: int = 0) -> list[np.ndarray]:
    """Random batches, the first sample all 127 and the second all -128."""
    rng = np.random.default_rng(seed)
    batches = []
    for name in graph.inputs:
        batch = rng.integers(-128, 128, (count, *graph.tensors[name].shape[1:])).astype(np.int8)
        batch[0], batch[1] = 127, -128
        batches.append(batch)
    return batches


def assert_same_integers(before: Graph, after: Graph, seed: int = 0) -> None:
    inputs = inputs_of(before, seed=seed)
    for a, b in zip(execute(before, *inputs), execute(after, *inputs), strict=True):
        np.testing.assert_array_equal(a, b)


def kinds(graph: Graph) -> list[str]:
    return [node.op.kind for node in graph.nodes]


def reasons(notes) -> dict[str, str]:
    """Node -> why it was left alone."""
    return {note.node: note.text for note in notes if not note.changed}
