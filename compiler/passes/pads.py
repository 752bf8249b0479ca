# SPDX-License-Identifier: Apache-2.0
"""What is written round a map becomes the border of the windows that read it.

A window has a value that it reads outside its map, a convolution the zero point of its input, a
maximum the smallest integer: that must be what was written. An average counts elements inside the
map only, and so has none.
"""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.traits.neighbours import Surround
from tinytailor.compiler.passes.base import Notes, done, each, kept, readers, replaced


def fold_pads(graph: Graph) -> tuple[Graph, Notes]:
    notes: Notes = []
    for find in each(n for n in graph.nodes if n.op.surround()):
        node = find(graph)
        around = None if node is None else node.op.surround()
        if node is None or around is None:
            continue
        users = readers(graph)[node.output]
        changed = _bordered(graph, node, around, users)
        if isinstance(changed, str):
            notes.append(kept(node, changed))
            continue
        graph = replaced(graph, changed)
        notes.append(done(node, f"is the border of {', '.join(user.name for user in users)}"))
    return graph, notes


def _bordered(
    graph: Graph, node: Node, around: Surround, users: list[Node]
) -> dict[str, Node] | str:
    """All readers with a border instead, by name, or why the node has to run."""
    if node.output in graph.outputs:
        return "it is an output of the graph"
    if around.channels:
        return "it adds channels"
    changed = {}
    for user in users:
        wider = user.op.bordered(around.padding)
        if isinstance(wider, str):
            return f"{user.name} {wider}"
        if user.inputs[0] != node.output or user.inputs.count(node.output) > 1:
            return f"{user.name} ({user.op.kind}) has no border"
        if wider.value != around.value:
            return f"it holds {around.value}, the border of {user.name} reads {wider.value}"
        inputs = (*node.inputs, *user.inputs[1:])
        changed[user.name] = replace(user, op=wider.op, inputs=inputs)
    return changed
