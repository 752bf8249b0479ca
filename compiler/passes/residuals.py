# SPDX-License-Identifier: Apache-2.0
"""A residual addition is done where the convolution before it stores its result.

    t = conv(x); y = add(t, r)     becomes     y = conv_add(x, r)

Operators say which can end another one, and which can be ended so. The convolution is the operand
that is computed last, so r exists when it runs. One map less is written and read again, and y may
lie over r, or over x as t did.
"""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops import OPERATORS, Operator
from tinytailor.compiler.passes.base import Notes, done, kept, only_reader, rebuilt


def fuse_residuals(graph: Graph) -> tuple[Graph, Notes]:
    notes: Notes = []
    for node in [n for n in graph.nodes if n.op.epilogue(0) is not None]:
        made = {n.output: i for i, n in enumerate(graph.nodes)}
        side = max(range(len(node.inputs)), key=lambda s: made.get(node.inputs[s], -1))
        epilogue = node.op.epilogue(side)
        if node.inputs[side] not in made or epilogue is None:
            notes.append(kept(node, "it adds inputs of the graph"))
            continue
        before = graph.nodes[made[node.inputs[side]]]
        op = _ended(graph, node, before, epilogue)
        if isinstance(op, str):
            notes.append(kept(node, op))
            continue
        inputs = (*before.inputs, *node.inputs[:side], *node.inputs[side + 1 :])
        joined = replace(before, op=op, inputs=inputs, output=node.output)
        nodes = [joined if n is before else n for n in graph.nodes if n is not node]
        graph = rebuilt(graph, nodes)
        notes.append(done(node, f"fused into {before.name}"))
    return graph, notes


def _ended(graph: Graph, node: Node, before: Node, epilogue: Operator) -> Operator | str:
    """The operator of ``before`` with ``epilogue`` at its end, or why there is none."""
    if not before.op.takes_epilogue:
        taking = " or ".join(kind for kind, op in OPERATORS.items() if op.takes_epilogue)
        return f"{before.name}, the later of its inputs, is {before.op.kind}, not {taking}"
    op = before.op.ended_by(epilogue)
    if op is None:
        return f"{before.name} has an addition already"
    if len(set(graph.input_shapes(node))) > 1:
        return "its inputs have different shapes"
    if not only_reader(graph, before.output):
        return f"the output of {before.name} is read elsewhere too"
    return op
