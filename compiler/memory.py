# SPDX-License-Identifier: Apache-2.0
"""The arena: one static block in which every activation and every scratch buffer has its offset.

A buffer lives from the node that writes it to the last node that reads it, scratch only during its
node; buffers whose lives overlap must not overlap in memory, with one exception. Where a node is
the last to read its input, its output may lie over it, provided that it starts early enough: an
operator that works from front to back overwrites only what it has read already. How much earlier,
its ``overlap`` distance, is declared by the kernel. For a 3x3 convolution it is about one row, so
two maps take the memory of one map and a row.

    offsets by first fit, buffers in several orders, the smallest result kept

Graph inputs and outputs are the caller's and take no arena. The plan is exact: the emitted arena is
``arena_bytes``, and no code adds to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.targets.errors import InputError

ALIGNMENT = 8
SHUFFLES = 200  # random orders tried where no fixed one reaches the lower bound


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
    """``place`` maps a tensor to its buffer, or to the graph input or output whose memory it is.

    ``overlaps``: (input buffer, output buffer) -> how much before the input the output must start,
    if they overlap at all.
    """

    arena_bytes: int
    lower_bound_bytes: int
    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    place: Mapping[str, str]
    overlaps: Mapping[tuple[str, str], int]


def scratch_name(node: str) -> str:
    return f"{node}/scratch"


def plan(
    graph: Graph,
    scratch_bytes: Mapping[str, int],
    overlap: Mapping[str, Mapping[int, int]],
) -> MemoryPlan:
    """Place all tensors of ``graph``; both mappings go by node name."""
    place = _places(graph)
    buffers = _buffers(graph, place, scratch_bytes)
    overlaps = _overlaps(graph, place, buffers, overlap)
    meetings = _interference(buffers, overlaps)
    bound = _lower_bound(buffers, overlaps, len(graph.nodes))
    best, best_bytes = dict.fromkeys((b.name for b in buffers), 0), 0
    for attempt, order in enumerate(_orders(buffers)):
        offsets = _first_fit(order, meetings)
        size = max((offsets[b.name] + _aligned(b.bytes) for b in buffers), default=0)
        if attempt == 0 or size < best_bytes:
            best, best_bytes = offsets, size
        if best_bytes <= bound:
            break
    return MemoryPlan(best_bytes, bound, buffers, best, place, overlaps)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _last_reads(graph: Graph) -> dict[str, int]:
    """Tensor -> index of the last node that reads it; a graph output is read after the last."""
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    return last | dict.fromkeys(graph.outputs, len(graph.nodes))


def _places(graph: Graph) -> dict[str, str]:
    """Tensor -> the name of the memory it lives in: its own, or that of what it is a reshape of."""
    external = {*graph.inputs, *graph.outputs}
    place = {name: name for name in graph.inputs}
    for node in graph.nodes:
        place[node.output] = node.output
        if not node.is_view:
            continue
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
            old = lives.get(home, Buffer(home, size, i, i))
            end = max(old.last, last.get(node.output, i))
            lives[home] = Buffer(home, size, old.first, end)
        if scratch_bytes.get(node.name):
            name = scratch_name(node.name)
            lives[name] = Buffer(name, scratch_bytes[node.name], i, i)
    return tuple(lives.values())


def _overlaps(
    graph: Graph,
    place: Mapping[str, str],
    buffers: Sequence[Buffer],
    overlap: Mapping[str, Mapping[int, int]],
) -> dict[tuple[str, str], int]:
    """The pairs that may lie over each other: they meet at one node only, which allows it."""
    known = {b.name: b for b in buffers}
    pairs = {}
    for i, node in enumerate(graph.nodes):
        homes = [place[name] for name in node.inputs]
        output = known.get(place[node.output])
        for index, distance in overlap.get(node.name, {}).items():
            source = known.get(homes[index])
            if source is None or output is None or source is output:
                continue
            if source.last == i == output.first and homes.count(source.name) == 1:
                pairs[source.name, output.name] = _aligned(distance)
    return pairs


def _interference(buffers: Sequence[Buffer], overlaps: Mapping[tuple[str, str], int]) -> nx.DiGraph:
    """Edges both ways between buffers alive at one node.

    With ``other`` at s, ``one`` collides at the offsets between s - before and s + after.
    """
    meetings = nx.DiGraph()
    meetings.add_nodes_from(b.name for b in buffers)
    sizes = {b.name: _aligned(b.bytes) for b in buffers}
    for i, a in enumerate(buffers):
        for b in buffers[:i]:
            if not a.meets(b):
                continue
            for one, other in ((a.name, b.name), (b.name, a.name)):
                meetings.add_edge(
                    one,
                    other,
                    before=overlaps.get((other, one), sizes[one]),
                    after=overlaps.get((one, other), sizes[other]),
                )
    return meetings


def _first_fit(order: Iterable[Buffer], meetings: nx.DiGraph) -> dict[str, int]:
    """Each buffer at the lowest offset where it collides with none of those placed before."""
    offsets: dict[str, int] = {}
    for buffer in order:
        taken = sorted(
            (offsets[other] - edge["before"], offsets[other] + edge["after"])
            for _, other, edge in meetings.out_edges(buffer.name, data=True)
            if other in offsets
        )
        offset = 0
        for low, high in taken:
            if offset <= low:
                continue
            offset = max(offset, high)
        offsets[buffer.name] = offset
    return offsets


def _lower_bound(
    buffers: Sequence[Buffer], overlaps: Mapping[tuple[str, str], int], nodes: int
) -> int:
    """What no placement can go below: the buffers alive at a node, laid over where they may be.

    Where several inputs may lie under one output, all of them are taken to cost nothing.
    """
    bound = 0
    for i in range(nodes):
        alive = {b.name: _aligned(b.bytes) for b in buffers if b.first <= i <= b.last}
        saved = 0
        for output in {y for _, y in overlaps}:
            inputs = [(x, d) for (x, y), d in overlaps.items() if y == output and x in alive]
            if output in alive and inputs:
                apart = alive[output] + sum(alive[x] for x, _ in inputs)
                together = max(alive[output], *(alive[x] + d for x, d in inputs))
                saved += max(0, apart - together)
        bound = max(bound, sum(alive.values()) - saved)
    return bound


def _orders(buffers: Sequence[Buffer]) -> Iterable[list[Buffer]]:
    """Orders of placing: backwards in time, by size, by life; then seeded shuffles by size."""
    for key in _KEYS:
        yield sorted(buffers, key=key)
    rng = np.random.default_rng(0)
    spread = sum(b.bytes for b in buffers) / max(1, len(buffers))
    for _ in range(SHUFFLES):
        noise = dict(zip(buffers, rng.normal(0, spread, len(buffers)), strict=True))
        yield sorted(buffers, key=lambda b, noise=noise: (-b.bytes + noise[b], b.name))  # type: ignore[misc]


# Each order is good for some shape of network; names break ties.
_KEYS: tuple[Callable[[Buffer], tuple[object, ...]], ...] = (
    lambda b: (-b.last, -b.bytes, b.name),
    lambda b: (-b.bytes, -b.last, b.name),
    lambda b: (-b.bytes, b.first, b.name),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first, b.name),
    lambda b: (-(b.last - b.first), -b.bytes, b.name),
    lambda b: (b.first, -b.bytes, b.name),
)
