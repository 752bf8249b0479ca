# SPDX-License-Identifier: Apache-2.0
"""Nodes that compute the same from the same are computed once: equal operator, inputs, constants.

What is a graph output keeps its own node; the others read the first.
"""

from __future__ import annotations

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.passes.base import Notes, done, kept, rebuilt, renamed


def merge_duplicates(graph: Graph) -> tuple[Graph, Notes]:
    notes: Notes = []
    first: dict[object, Node] = {}
    names: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        node = renamed(node, names)
        same = first.setdefault(_identity(graph, node), node)
        if same is not node and node.output not in graph.outputs:
            names[node.output] = same.output
            notes.append(done(node, f"computes what {same.name} computes"))
            continue
        if same is not node:
            notes.append(kept(node, f"equals {same.name}, but is an output of the graph"))
        nodes.append(node)
    return rebuilt(graph, nodes), notes


def _identity(graph: Graph, node: Node) -> object:
    """Equal for nodes with the same result, bytes and shape."""
    constants = tuple(
        (role, array.dtype.name, array.tobytes()) for role, array in sorted(node.constants.items())
    )
    return node.op, node.inputs, constants, graph.tensors[node.output].shape
