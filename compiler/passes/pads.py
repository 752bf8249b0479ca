# SPDX-License-Identifier: Apache-2.0
"""A Pad becomes the border of the windows that read it.

Conv2d, DepthwiseConv2d   the border reads the input zero point: the Pad must hold that value
MaxPool2d                 the border reads -128: so must the Pad
AveragePool2d             counts elements inside the map only, a Pad counts: never
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops import AveragePool2d, MaxPool2d, Pad
from tinytailor.compiler.ops.geometry import Padding
from tinytailor.compiler.ops.max_pool import BORDER
from tinytailor.compiler.passes.base import Notes, done, each, kept, readers, replaced

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "grouped_conv2d")


def fold_pads(graph: Graph) -> tuple[Graph, Notes]:
    notes: Notes = []
    for find in each(graph, Pad):
        node = find(graph)
        if node is None:
            continue
        users = readers(graph)[node.output]
        reason = _obstacle(graph, node, users)
        if reason:
            notes.append(kept(node, reason))
            continue
        graph = replaced(graph, {user.name: _bordered(user, node) for user in users})
        notes.append(done(node, f"is the border of {', '.join(user.name for user in users)}"))
    return graph, notes


def _obstacle(graph: Graph, node: Node, users: list[Node]) -> str:
    """Why the Pad has to run; "" where every reader can have it as its border."""
    op = node.op
    assert isinstance(op, Pad)
    if node.output in graph.outputs:
        return "it is an output of the graph"
    if op.before[2] or op.after[2]:
        return "it adds channels"
    for user in users:
        if isinstance(user.op, AveragePool2d):
            return f"{user.name} would not count the border"
        fill = border_value(user.op)
        if fill is None or user.inputs[0] != node.output or user.inputs.count(node.output) > 1:
            return f"{user.name} ({user.op.kind}) has no border"
        if fill != op.value:
            return f"it holds {op.value}, the border of {user.name} reads {fill}"
    return ""


def border_value(op: Any) -> int | None:
    """What a windowed operator reads outside its map; None for other operators."""
    if isinstance(op, MaxPool2d):
        return BORDER
    return int(op.input_zero_point) if op.kind in CONVOLUTIONS else None


def _bordered(user: Node, pad: Node) -> Node:
    op: Any = user.op
    assert isinstance(pad.op, Pad)
    top, left, bottom, right = op.padding
    (above, before, _), (below, after, _) = pad.op.before, pad.op.after
    wider: Padding = (top + above, left + before, bottom + below, right + after)
    inputs = (*pad.inputs, *user.inputs[1:])
    return replace(user, op=replace(op, padding=wider), inputs=inputs)
