# SPDX-License-Identifier: Apache-2.0
"""Elementwise fusion: a function of single elements, as a table, joins what stands before it.

    second[first[x]]               one table
    clip(op(x) + k, low, high)     the clamp and the zero point of ``op``

A table is such a clip where table[i] = clip(i + k, min(table), max(table)): a ReLU, a change of
zero point at one scale. Only a tensor that nothing else reads is fused away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.traits.constants import INTEGERS
from tinytailor.compiler.passes.base import (
    Notes,
    done,
    each,
    kept,
    only_reader,
    producers,
    rebuilt,
)


def fuse_lookups(graph: Graph) -> tuple[Graph, Notes]:
    notes: Notes = []
    for find in each(n for n in graph.nodes if n.op.table(n.constants) is not None):
        node = find(graph)
        table = None if node is None else node.op.table(node.constants)
        if node is None or table is None:
            continue
        before = producers(graph).get(node.inputs[0])
        if before is None:
            notes.append(kept(node, "it reads an input of the graph"))
            continue
        if not only_reader(graph, before.output):
            notes.append(kept(node, f"the output of {before.name} is read elsewhere too"))
            continue
        joined = joint(before, table)
        if isinstance(joined, str):
            notes.append(kept(node, joined))
            continue
        joined = replace(joined, output=node.output)
        graph = rebuilt(graph, [joined if n is before else n for n in graph.nodes if n is not node])
        notes.append(done(node, f"fused into {before.name}"))
    return graph, notes


def joint(before: Node, table: np.ndarray) -> Node | str:
    """``before`` with the table behind it as one node, or why there is none."""
    constants = before.op.mapped(table, before.constants)
    if constants is not None:
        return replace(before, constants=constants)
    clamp = before.op.clamp()
    if clamp is None:
        return f"{before.name} ({before.op.kind}) has no clamp"
    clip = as_clip(table, clamp.low, clamp.high)
    if clip is None:
        return "its table is no clamp"
    closer = clamp.clipped(*clip)
    if closer is None:
        return f"{before.name} ({before.op.kind}) cannot move its zero point"
    return replace(before, op=before.op.with_clamp(closer))


def as_clip(table: np.ndarray, low: int = -128, high: int = 127) -> tuple[int, int, int] | None:
    """(low, high, k) with table[i] = clip(i + k, low, high) for all i that occur, low to high."""
    reached = slice(low + 128, high + 129)
    values, integers = table[reached].astype(np.int64), INTEGERS[reached]
    bottom, top = int(values.min()), int(values.max())
    for k in sorted({int(step) for step in values - integers}, key=abs):
        if np.array_equal(np.clip(integers + k, bottom, top), values):
            return bottom, top, k
    return None
