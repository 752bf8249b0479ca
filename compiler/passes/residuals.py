# SPDX-License-Identifier: Apache-2.0
"""A residual addition is done where the convolution before it stores its result.

    t = conv(x); y = add(t, r)     becomes     y = conv_add(x, r)

The convolution is the operand that is computed last, so r exists when it runs. One map less is
written and read again, and y may lie over r, or over x as t did.
"""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops import Add, Conv2d
from tinytailor.compiler.passes.base import Notes, done, kept, only_reader, rebuilt


def fuse_residuals(graph: Graph) -> tuple[Graph, Notes]:
    notes: Notes = []
    for node in [n for n in graph.nodes if isinstance(n.op, Add)]:
        made = {n.output: i for i, n in enumerate(graph.nodes)}
        side = max((0, 1), key=lambda s: made.get(node.inputs[s], -1))
        if node.inputs[side] not in made:
            notes.append(kept(node, "it adds inputs of the graph"))
            continue
        conv = graph.nodes[made[node.inputs[side]]]
        reason = _obstacle(graph, node, conv)
        if reason:
            notes.append(kept(node, reason))
            continue
        joined = _joined(node, conv, side)
        nodes = [joined if n is conv else n for n in graph.nodes if n is not node]
        graph = rebuilt(graph, nodes)
        notes.append(done(node, f"fused into {conv.name}"))
    return graph, notes


def _obstacle(graph: Graph, node: Node, conv: Node) -> str:
    if not isinstance(conv.op, Conv2d):
        return f"{conv.name}, the later of its inputs, is {conv.op.kind}, not conv2d"
    if conv.op.add is not None:
        return f"{conv.name} has an addition already"
    if len(set(graph.input_shapes(node))) > 1:
        return "its inputs have different shapes"
    if not only_reader(graph, conv.output):
        return f"the output of {conv.name} is read elsewhere too"
    return ""


def _joined(node: Node, conv: Node, side: int) -> Node:
    assert isinstance(node.op, Add)
    assert isinstance(conv.op, Conv2d)
    add = node.op if side == 0 else replace(node.op, left=node.op.right, right=node.op.left)
    inputs = (*conv.inputs, node.inputs[1 - side])
    return replace(conv, op=replace(conv.op, add=add), inputs=inputs, output=node.output)
