# SPDX-License-Identifier: Apache-2.0
"""The arena: one static block in which every activation and every scratch buffer has its offset.

A buffer lives from the node that writes it to the last node that reads it, scratch only during its
node; buffers whose lives overlap must not overlap in memory, with one exception. Where a node is
the last to read its input, its output may lie over it, provided that it starts early enough: an
operator that works from front to back overwrites only what it has read already. How much earlier,
its ``overlap`` distance, is declared by the kernel. For a 3x3 convolution it is about one row, so
two maps take the memory of one map and a row.

    aliasing.py  which tensors lie in which home, the inputs of a joined map side by side
    here         buffers, what may lie over what, a lower bound
    packing.py   offsets

Graph inputs and outputs are the caller's and take no arena. The plan is exact: the emitted arena is
``arena_bytes``, and no code adds to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.memory.aliasing import Place, Places
from tinytailor.compiler.memory.packing import Block, Intervals, aligned, pack

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.c_function import Kernel

ALIGNMENT = 8
MOST_SOURCES = 6  # inputs of one node that the lower bound tries all ways of laying over


@dataclass(frozen=True, slots=True)
class Buffer:
    """``bytes`` needed from node ``first`` to node ``last``, both included.

    It lies ``start`` bytes into its ``home``, beside other buffers where the home is a joined map.
    """

    name: str
    bytes: int
    first: int
    last: int
    home: str
    start: int = 0

    def meets(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """``place`` maps a tensor to its home and its offset in it; a home is in ``offsets``, or it is
    the graph input or output whose memory it is.

    ``overlaps``: (input buffer, output buffer) -> how much before the input the output must start,
    if they overlap at all. ``optimal``: no plan of these buffers is smaller.
    """

    arena_bytes: int
    lower_bound_bytes: int
    optimal: bool
    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    place: Mapping[str, Place]
    overlaps: Mapping[tuple[str, str], int]

    def start(self, buffer: Buffer) -> int:
        """Where ``buffer`` starts in the arena."""
        return self.offsets[buffer.home] + buffer.start


def scratch_name(node: str) -> str:
    return f"{node}/scratch"


def plan_kernels(graph: Graph, places: Places, kernels: Mapping[str, Kernel]) -> MemoryPlan:
    """The arena of ``graph`` when its nodes are computed by ``kernels``, by node name."""
    scratch = {node: kernel.scratch_bytes for node, kernel in kernels.items()}
    overlap = {node: kernel.overlap for node, kernel in kernels.items()}
    return plan(graph, places, scratch, overlap)


def plan(
    graph: Graph,
    places: Places,
    scratch_bytes: Mapping[str, int],
    overlap: Mapping[str, Mapping[int, int]],
    alignment: int = ALIGNMENT,
) -> MemoryPlan:
    """Place all tensors of ``graph``, whose ``places`` are known; both mappings go by node name."""
    buffers = _buffers(graph, places, scratch_bytes)
    overlaps = _overlaps(graph, places.of, buffers, overlap)
    bound = lower_bound(buffers, overlaps, alignment)
    packing = pack(_blocks(buffers), forbidden(buffers, overlaps), alignment, bound)
    return MemoryPlan(
        packing.size, bound, packing.optimal, buffers, packing.offsets, places.of, overlaps
    )


def _buffers(graph: Graph, places: Places, scratch_bytes: Mapping[str, int]) -> tuple[Buffer, ...]:
    """One per tensor that a node writes, and scratch; borders of the graph are not the arena's."""
    borders = {*graph.inputs, *graph.outputs}
    reads = _reads(graph, places)
    found = []
    for i, node in enumerate(graph.nodes):
        if node.name in places.views:
            continue
        at, size = places.of[node.output], graph.tensors[node.output].bytes
        if at.home not in borders:
            last = max(
                (when for when, low, high in reads[at.home] if _meet(at.offset, size, low, high)),
                default=i,
            )
            found.append(Buffer(node.output, size, i, max(i, last), at.home, at.offset))
        if scratch_bytes.get(node.name):
            name = scratch_name(node.name)
            found.append(Buffer(name, scratch_bytes[node.name], i, i, name))
    return tuple(found)


def _reads(graph: Graph, places: Places) -> dict[str, list[tuple[int, int, int]]]:
    """Home -> (node, first byte, byte behind) of every read in it."""
    reads: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for i, node in enumerate(graph.nodes):
        if node.name in places.views:
            continue
        for name in node.inputs:
            at = places.of[name]
            reads[at.home].append((i, at.offset, at.offset + graph.tensors[name].bytes))
    return reads


def _meet(start: int, size: int, low: int, high: int) -> bool:
    return start < high and low < start + size


def _overlaps(
    graph: Graph,
    place: Mapping[str, Place],
    buffers: Sequence[Buffer],
    overlap: Mapping[str, Mapping[int, int]],
) -> dict[tuple[str, str], int]:
    """The pairs that may lie over each other: they meet at one node only, which allows it.

    The distance is declared for the tensor that the node reads; the buffer may start before it, and
    so much less is then asked of the buffer, or behind it, as a part of it.
    """
    known = {b.name: b for b in buffers}
    homes: dict[str, list[Buffer]] = defaultdict(list)
    for buffer in buffers:
        homes[buffer.home].append(buffer)
    pairs = {}
    for i, node in enumerate(graph.nodes):
        output = known.get(node.output)
        if output is None:
            continue
        spans = [(place[t], graph.tensors[t].bytes) for t in node.inputs]
        for index, distance in overlap.get(node.name, {}).items():
            at, size = spans[index]
            for source in homes.get(at.home, ()):
                readers = sum(
                    p.home == source.home
                    and _meet(source.start, source.bytes, p.offset, p.offset + n)
                    for p, n in spans
                )
                touched = _meet(source.start, source.bytes, at.offset, at.offset + size)
                dies = source.last == i == output.first and source.first < i
                if touched and dies and readers == 1 and source.home != output.home:
                    pairs[source.name, output.name] = distance + source.start - at.offset
    return pairs


def _blocks(buffers: Sequence[Buffer]) -> list[Block]:
    """The buffers of each home as one block."""
    homes: dict[str, list[Buffer]] = defaultdict(list)
    for buffer in buffers:
        homes[buffer.home].append(buffer)
    return [
        Block(
            home,
            max(b.start + b.bytes for b in inside),
            min(b.first for b in inside),
            max(b.last for b in inside),
        )
        for home, inside in homes.items()
    ]


def forbidden(
    buffers: Sequence[Buffer], overlaps: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, Intervals]]:
    """home -> other home -> where the offset of the first less that of the second must not be."""
    pairs: dict[str, dict[str, list[tuple[int, int]]]] = {
        b.home: defaultdict(list) for b in buffers
    }
    for a, b in _meeting(buffers):
        if a.home == b.home:
            continue
        # a at distance x from b collides for -a.bytes < x < b.bytes, less where one may lie over.
        low, high = -a.bytes, b.bytes
        if (a.name, b.name) in overlaps:  # the input a is clear of b from the distance on
            high = min(high, overlaps[a.name, b.name])
        elif (b.name, a.name) in overlaps:
            low = max(low, -overlaps[b.name, a.name])
        shift = b.start - a.start
        if low < high:
            pairs[a.home][b.home].append((low + shift, high + shift))
            pairs[b.home][a.home].append((-high - shift, -low - shift))
    return {
        home: {other: tuple(sorted(set(found))) for other, found in around.items()}
        for home, around in pairs.items()
    }


def _meeting(buffers: Sequence[Buffer]) -> Iterator[tuple[Buffer, Buffer]]:
    """All pairs that live at one time; by first nodes, or it would look at every pair there is."""
    ordered = sorted(buffers, key=lambda b: b.first)
    for i, a in enumerate(ordered):
        for b in islice(ordered, i + 1, None):
            if b.first > a.last:
                break
            yield a, b


def lower_bound(
    buffers: Sequence[Buffer], overlaps: Mapping[tuple[str, str], int], alignment: int
) -> int:
    """What no placement can go below: the buffers alive at a node, laid over where they may be."""
    parts = Counter(b.home for b in buffers)
    sizes = {b.name: b.bytes if parts[b.home] > 1 else aligned(b.bytes, alignment) for b in buffers}
    over: dict[str, list[str]] = defaultdict(list)  # output -> what it may lie over
    for source, output in overlaps:
        over[output].append(source)
    bound = 0
    for i in sorted({b.first for b in buffers}):
        alive = {b.name for b in buffers if b.first <= i <= b.last}
        saved = 0
        for output in over.keys() & alive:
            sources = [(sizes[x], max(0, overlaps[x, output])) for x in over[output] if x in alive]
            if sources:
                apart = sizes[output] + sum(size for size, _ in sources)
                saved += apart - _least_union(sizes[output], sources)
        bound = max(bound, sum(sizes[name] for name in alive) - saved)
    return aligned(bound, alignment)


def _least_union(output: int, sources: Sequence[tuple[int, int]]) -> int:
    """Least memory of an output and of inputs (size, distance) that it may lie over.

    Inputs that it lies over start at their distance or later and do not overlap each other, so they
    end no earlier than jobs with these release times on one machine; the others lie apart.
    """
    if len(sources) > MOST_SOURCES:
        return max(output, sum(size for size, _ in sources))
    least = output + sum(size for size, _ in sources)
    for chosen in range(1, 1 << len(sources)):
        under = [source for k, source in enumerate(sources) if chosen >> k & 1]
        apart = sum(size for k, (size, _) in enumerate(sources) if not chosen >> k & 1)
        end = 0
        for size, distance in sorted(under, key=lambda source: source[1]):
            end = max(end, distance) + size
        least = min(least, max(output, end) + apart)
    return least
