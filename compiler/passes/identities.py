# SPDX-License-Identifier: Apache-2.0
"""Nodes that change nothing are removed.

table[i] = i      Reshape to the shape it has      Reshape(Reshape(x)) = Reshape(x)
Concat of one     Pad by nothing                   Slice of all
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops import Concat, Lookup, Pad, Reshape
from tinytailor.compiler.ops.lookup import INTEGERS
from tinytailor.compiler.passes.base import (
    Notes,
    done,
    each,
    kept,
    only_reader,
    producers,
    removed,
    replaced,
)


def remove_identities(graph: Graph) -> tuple[Graph, Notes]:
    graph, notes = _joined_reshapes(graph)
    for find in each(graph, object):
        node = find(graph)
        reason = identity(graph, node) if node else ""
        if node is None or not reason:
            continue
        smaller = removed(graph, node)
        if smaller is None:
            notes.append(kept(node, f"{reason}, but both its ends are borders of the graph"))
        else:
            graph = smaller
            notes.append(done(node, reason))
    return graph, notes


def identity(graph: Graph, node: Node) -> str:
    """Why the output of ``node`` is its input, byte for byte; "" where it is not."""
    if isinstance(node.op, Lookup):
        return "its table is the identity" * np.array_equal(node.constants["table"], INTEGERS)
    if isinstance(node.op, Concat):
        return "it joins a single tensor" * (len(node.inputs) == 1)
    if isinstance(node.op, Pad):
        return "it adds nothing" * (not any((*node.op.before, *node.op.after)))
    same = graph.tensors[node.inputs[0]].shape == graph.tensors[node.output].shape
    if isinstance(node.op, Reshape):
        return "it keeps the shape" * same
    if node.op.kind == "slice":
        return "it takes all" * same
    return ""


def _joined_reshapes(graph: Graph) -> tuple[Graph, Notes]:
    """Each Reshape of a Reshape reads what the first one read."""
    notes: Notes = []
    for find in each(graph, Reshape):
        node = find(graph)
        before = None if node is None else producers(graph).get(node.inputs[0])
        if node is None or before is None or not isinstance(before.op, Reshape):
            continue
        alone = only_reader(graph, before.output)
        graph = replaced(graph, {node.name: replace(node, inputs=before.inputs)})
        text = f"reads what {before.name} reads" + (", which is gone" if alone else "")
        notes.append(done(node, text))
    return graph, notes
