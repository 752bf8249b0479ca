# SPDX-License-Identifier: Apache-2.0
"""What a pass is, and the few ways of rewriting a graph that passes share.

A pass is a pure function from a graph to a graph that computes the same integers, and notes: what
it changed, and for every candidate it left alone the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tinytailor.compiler.ir import Graph, Node, Tensor


@dataclass(frozen=True, slots=True)
class Note:
    """``changed``: done at ``node``; else ``node`` was a candidate, and ``text`` says why not."""

    node: str
    text: str
    changed: bool = True

    def to_json(self) -> dict[str, Any]:
        return {"node": self.node, "changed": self.changed, "text": self.text}


Notes = list[Note]
Pass = Callable[[Graph], tuple[Graph, Notes]]


def done(node: Node, text: str) -> Note:
    return Note(node.name, text)


def kept(node: Node, reason: str) -> Note:
    return Note(node.name, reason, changed=False)


def each(candidates: Iterable[Node]) -> Iterator[Callable[[Graph], Node | None]]:
    """For every candidate: how to find it in later graphs, where it may be gone."""
    for name in [node.name for node in candidates]:
        yield lambda later, name=name: next(  # type: ignore[misc]
            (node for node in later.nodes if node.name == name), None
        )


def readers(graph: Graph) -> dict[str, list[Node]]:
    """Tensor -> the nodes that read it, each once; tensors that nothing reads are there too."""
    found: dict[str, list[Node]] = {name: [] for name in graph.tensors}
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            found[name].append(node)
    return found


def producers(graph: Graph) -> dict[str, Node]:
    return {node.output: node for node in graph.nodes}


def only_reader(graph: Graph, tensor: str) -> bool:
    """Whether exactly one node reads ``tensor``, once, and it is no output of the graph."""
    reads = sum(node.inputs.count(tensor) for node in graph.nodes)
    return reads == 1 and tensor not in graph.outputs


def rebuilt(
    graph: Graph, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None
) -> Graph:
    """``graph`` with other nodes, without those that no output depends on, and their tensors."""
    known = graph.tensors if tensors is None else tensors
    needed, live = set(graph.outputs), []
    for node in reversed(tuple(nodes)):
        if node.output in needed:
            needed.update(node.inputs)
            live.append(node)
    names = {*needed, *graph.inputs}
    kept_tensors = {name: tensor for name, tensor in known.items() if name in names}
    return replace(graph, tensors=kept_tensors, nodes=tuple(live[::-1]))


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """``node`` reading and writing other tensors."""
    inputs = tuple(names.get(name, name) for name in node.inputs)
    return replace(node, inputs=inputs, output=names.get(node.output, node.output))


def removed(graph: Graph, node: Node) -> Graph | None:
    """``graph`` without ``node``, whose output equals its first input; None where both are borders.

    What is a graph output keeps its name: then what made the input writes it.
    """
    source, result = node.inputs[0], node.output
    borders = {*graph.inputs, *graph.outputs}
    if result in borders and source in borders:
        return None
    names = {source: result} if result in borders else {result: source}
    nodes = [renamed(other, names) for other in graph.nodes if other is not node]
    return rebuilt(graph, nodes)


def replaced(graph: Graph, changes: Mapping[str, Node]) -> Graph:
    """``graph`` with the nodes of these names in other forms."""
    return rebuilt(graph, [changes.get(node.name, node) for node in graph.nodes])
