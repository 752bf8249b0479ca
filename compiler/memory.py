# SPDX-License-Identifier: Apache-2.0
"""The arena: one static block in which every activation and every scratch buffer has its offset.

A buffer lives from the node that writes it to the last node that reads it, scratch only during its
node; buffers whose lives overlap must not overlap in memory. Reshaped tensors share a buffer, and
an operator that allows it writes over an input nobody reads again. Graph inputs and outputs are the
caller's and take no arena.

    offsets by first fit, buffers in several orders, the smallest result kept;
    lower bound = the largest sum of buffers alive at one node

The plan is exact: the emitted arena is ``arena_bytes``, and no code adds to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from tinytailor.compiler.ir import Graph
from tinytailor.targets.errors import InputError

ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Buffer:
    """``bytes`` needed from node ``first`` to node ``last``, both included."""

    name: str
    bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """``place`` maps a tensor to its buffer, or to the graph input or output whose memory it is."""

    arena_bytes: int
    lower_bound_bytes: int
    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    place: Mapping[str, str]


def scratch_name(node: str) -> str:
    return f"{node}/scratch"


def plan(
    graph: Graph, scratch_bytes: Mapping[str, int], in_place: Mapping[str, tuple[int, ...]]
) -> MemoryPlan:
    """Place all tensors of ``graph``; both mappings go by node name."""
    place = _places(graph, in_place)
    buffers = _buffers(graph, place, scratch_bytes)
    meetings = _interference(buffers)
    lower_bound = max(
        (sum(_aligned(b.bytes) for b in buffers if b.first <= i <= b.last))
        for i in range(len(graph.nodes))
    )
    best: dict[str, int] = {}
    best_bytes = -1
    for order in _ORDERS:
        offsets = _first_fit(sorted(buffers, key=order), meetings)
        size = max((offsets[b.name] + _aligned(b.bytes) for b in buffers), default=0)
        if best_bytes < 0 or size < best_bytes:
            best, best_bytes = offsets, size
        if best_bytes == lower_bound:
            break
    return MemoryPlan(best_bytes, lower_bound, buffers, best, place)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _last_reads(graph: Graph) -> dict[str, int]:
    """Tensor -> index of the last node that reads it; a graph output is read after the last."""
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    return last | dict.fromkeys(graph.outputs, len(graph.nodes))


def _places(graph: Graph, in_place: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Tensor -> the name of the memory it lives in, after sharing by reshape and in-place use."""
    external = {*graph.inputs, *graph.outputs}
    last = _last_reads(graph)
    place = {name: name for name in graph.inputs}
    for i, node in enumerate(graph.nodes):
        place[node.output] = node.output
        if node.op.kind == "reshape":
            source = place[node.inputs[0]]
            if node.output not in external:
                place[node.output] = source
            elif source in external:
                raise InputError(
                    f"graph {graph.name}: output {node.output} is only a reshape of {source}; "
                    "there is nothing to compile between them"
                )
            else:  # what was written to the buffer goes to the output directly
                place.update({t: node.output for t, home in place.items() if home == source})
            continue
        if node.output in external:
            continue
        for index in in_place.get(node.name, ()):
            home = place[node.inputs[index]]
            sharers = [t for t, where in place.items() if where == home]
            free = home not in external and all(last.get(t, i) <= i for t in sharers)
            others = {place[t] for j, t in enumerate(node.inputs) if j != index}
            same = graph.tensors[node.output].bytes == graph.tensors[node.inputs[index]].bytes
            if free and same and home not in others:
                place[node.output] = home
                break
    return place


def _buffers(
    graph: Graph, place: Mapping[str, str], scratch_bytes: Mapping[str, int]
) -> tuple[Buffer, ...]:
    external = {*graph.inputs, *graph.outputs}
    last = _last_reads(graph)
    lives: dict[str, Buffer] = {}
    for i, node in enumerate(graph.nodes):
        home, size = place[node.output], graph.tensors[node.output].bytes
        if home not in external:
            end = last.get(node.output, i)
            old = lives.get(home, Buffer(home, size, i, end))
            lives[home] = Buffer(home, max(old.bytes, size), old.first, max(old.last, end))
        if scratch_bytes.get(node.name):
            name = scratch_name(node.name)
            lives[name] = Buffer(name, scratch_bytes[node.name], i, i)
    return tuple(lives.values())


def _interference(buffers: Sequence[Buffer]) -> nx.Graph:
    """An edge where two buffers are alive at the same node."""
    meetings = nx.Graph()
    meetings.add_nodes_from(b.name for b in buffers)
    meetings.add_edges_from(
        (a.name, b.name) for i, a in enumerate(buffers) for b in buffers[:i] if a.meets(b)
    )
    return meetings


# Each order is good for some shape of network; all are deterministic, names break ties.
_ORDERS: tuple[Callable[[Buffer], tuple[object, ...]], ...] = (
    lambda b: (-b.bytes, b.first, b.name),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first, b.name),
    lambda b: (-(b.last - b.first), -b.bytes, b.name),
    lambda b: (b.first, -b.bytes, b.name),
    lambda b: (-b.last, -b.bytes, b.name),
)


def _first_fit(order: Iterable[Buffer], meetings: nx.Graph) -> dict[str, int]:
    """Each buffer at the lowest offset where it meets none of those placed before."""
    placed: dict[str, tuple[int, int]] = {}
    for buffer in order:
        size = _aligned(buffer.bytes)
        offset = 0
        for start, end in sorted(placed[n] for n in meetings[buffer.name] if n in placed):
            if offset + size <= start:
                break
            offset = max(offset, end)
        placed[buffer.name] = (offset, offset + size)
    return {name: start for name, (start, _) in placed.items()}
