# SPDX-License-Identifier: Apache-2.0
"""Several graphs as one, side by side: each keeps its inputs, its outputs and its order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tinytailor.compiler.ir import Graph, Node, Tensor, check


def side_by_side(name: str, graphs: Iterable[tuple[str, Graph]]) -> Graph:
    """One graph of all ``(prefix, graph)``; names get the prefix of their graph."""
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    inputs: list[str] = []
    outputs: list[str] = []
    for prefix, graph in graphs:
        own = {t: f"{prefix}_{t}" for t in graph.tensors}
        tensors.update({own[t]: replace(x, name=own[t]) for t, x in graph.tensors.items()})
        inputs += [own[t] for t in graph.inputs]
        outputs += [own[t] for t in graph.outputs]
        nodes += [
            Node(
                f"{prefix}_{node.name}",
                node.op,
                tuple(own[t] for t in node.inputs),
                own[node.output],
                node.constants,
            )
            for node in graph.nodes
        ]
    return check(Graph(name, tuple(inputs), tuple(outputs), tensors, tuple(nodes)))
