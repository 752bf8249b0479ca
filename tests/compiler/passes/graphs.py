# SPDX-License-Identifier: Apache-2.0
"""Helpers for the tests of the passes."""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.testing.examples import random_inputs


def assert_same_integers(before: Graph, after: Graph, seed: int = 0) -> None:
    inputs = random_inputs(before, 4, seed)
    for a, b in zip(execute(before, *inputs), execute(after, *inputs), strict=True):
        np.testing.assert_array_equal(a, b)


def kinds(graph: Graph) -> list[str]:
    return [node.op.kind for node in graph.nodes]


def reasons(notes) -> dict[str, str]:
    """Node -> why it was left alone."""
    return {note.node: note.text for note in notes if not note.changed}
