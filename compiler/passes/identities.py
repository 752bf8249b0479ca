# SPDX-License-Identifier: Apache-2.0
"""Nodes that change nothing are removed.

table[i] = i      Reshape to the shape it has      Reshape(Reshape(x)) = Reshape(x)
Concat of one     Pad by nothing                   Slice of all
"""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.traits.neighbours import View
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
    graph, notes = _joined_views(graph)
    for find in each(graph.nodes):
        node = find(graph)
        reason = node.op.identity(graph.input_shapes(node), node.constants) if node else ""
        if node is None or not reason:
            continue
        smaller = removed(graph, node)
        if smaller is None:
            notes.append(kept(node, f"{reason}, but both its ends are borders of the graph"))
        else:
            graph = smaller
            notes.append(done(node, reason))
    return graph, notes


def _joined_views(graph: Graph) -> tuple[Graph, Notes]:
    """Each node that sees the bytes of its input in another way, where these are those of a node
    that does so too, reads what that one read."""
    notes: Notes = []
    for find in each([node for node in graph.nodes if _sees_bytes(graph, node)]):
        node = find(graph)
        before = None if node is None else producers(graph).get(node.inputs[0])
        if node is None or before is None or not _sees_bytes(graph, before):
            continue
        alone = only_reader(graph, before.output)
        graph = replaced(graph, {node.name: replace(node, inputs=before.inputs)})
        text = f"reads what {before.name} reads" + (", which is gone" if alone else "")
        notes.append(done(node, text))
    return graph, notes


def _sees_bytes(graph: Graph, node: Node) -> bool:
    view = node.op.view(*graph.input_shapes(node))
    return isinstance(view, View) and view.whole
