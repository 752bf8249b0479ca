# SPDX-License-Identifier: Apache-2.0
"""The order of execution with the lowest peak of memory, where branches leave a choice.

Of two branches the one that shrinks its map more comes first, roughly; exactly, it is a shortest
path through the sets of nodes that can have run, where a path is as long as its worst step:

    step = tensors alive while a node runs; an input that dies there lies under the output, but for
           the few operators that cannot work over their input at a small distance

Best first with ties broken by the order the graph had, so the first order found is the best one and
the result depends on the graph alone. Views move with what they are views of. An order that is not
lower by these sums is not taken; a graph with too many sets is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import networkx as nx

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.memory.aliasing import places
from tinytailor.compiler.passes.base import Note, Notes

MOST_SETS = 4000  # that the search looks at


def order_for_memory(graph: Graph) -> tuple[Graph, Notes]:
    model = _model(graph)
    if all(model.dag.has_edge(i, i + 1) for i in range(len(graph.nodes) - 1)):
        return graph, []  # a chain has one order
    before = max(model.steps(range(len(graph.nodes))), default=0)
    found = _search(model, before)
    name = graph.nodes[-1].name
    if found is None:
        return graph, [Note(name, f"more than {MOST_SETS} sets of nodes to look at", changed=False)]
    after = max(model.steps(found), default=0)
    if after >= before:
        return graph, [Note(name, f"no order is below {before} bytes", changed=False)]
    text = f"peak {before} -> {after} bytes by the order of execution"
    return replace(graph, nodes=tuple(graph.nodes[i] for i in found)), [Note(name, text)]


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """``dag``: nodes by index; ``writes``: node -> home; ``under``: node -> homes of inputs that
    its output may lie over."""

    dag: nx.DiGraph
    writes: Mapping[int, str]
    under: Mapping[int, frozenset[str]]
    readers: Mapping[str, frozenset[int]]
    writers: Mapping[str, frozenset[int]]
    bytes: Mapping[str, int]  # of homes in the arena

    def alive(self, done: frozenset[int]) -> frozenset[str]:
        """Homes that hold something which is still to be read after ``done``."""
        return frozenset(
            home
            for home in self.bytes
            if self.writers[home] & done and (self.readers[home] | self.writers[home]) - done
        )

    def step(self, done: frozenset[int], node: int) -> int:
        """Bytes needed while ``node`` runs after ``done``."""
        before = self.alive(done)
        written = {self.writes[node]} if node in self.writes else set()
        after = self.alive(done | {node})
        new = sum(self.bytes[home] for home in written - before)
        under = self.under[node] & (before - after)
        dying = max((self.bytes[home] for home in under), default=0)
        return sum(self.bytes[home] for home in before) + max(0, new - dying)

    def steps(self, order: range | list[int]) -> Iterator[int]:
        done: frozenset[int] = frozenset()
        for node in order:
            yield self.step(done, node)
            done |= {node}


def _model(graph: Graph) -> _Model:
    result, borders = places(graph), {*graph.inputs, *graph.outputs}
    dag = nx.DiGraph()
    dag.add_nodes_from(range(len(graph.nodes)))
    made = {node.output: i for i, node in enumerate(graph.nodes)}
    writes, under = {}, {}
    readers: dict[str, set[int]] = {}
    writers: dict[str, set[int]] = {}
    for i, node in enumerate(graph.nodes):
        dag.add_edges_from((made[name], i) for name in node.inputs if name in made)
        homes = frozenset(result.of[name].home for name in node.inputs) - borders
        home = result.of[node.output].home
        under[i] = homes if node.op.in_place else frozenset()
        if home not in borders:
            writers.setdefault(home, set()).add(i)
            if node.name not in result.views:
                writes[i] = home
        for name in homes:
            readers.setdefault(name, set()).add(i)
    return _Model(
        dag,
        writes,
        under,
        {home: frozenset(readers.get(home, ())) for home in writers},
        {home: frozenset(found) for home, found in writers.items()},
        {home: graph.tensors[home].bytes for home in writers},
    )


def _search(model: _Model, limit: int) -> list[int] | None:
    """The order of least peak, the earliest by node numbers among those equal; None at the limit.

    Nothing above ``limit`` is followed: the order that the graph has is never missed.
    """
    start: frozenset[int] = frozenset()
    queue: list[tuple[int, int, list[int]]] = [(0, 0, [])]
    seen: set[frozenset[int]] = set()
    while queue:
        peak, _, order = heappop(queue)
        done = start.union(order)
        if done in seen:
            continue
        if len(order) == len(model.dag):
            return order
        seen.add(done)
        if len(seen) > MOST_SETS:
            return None
        for node in model.dag:
            if node in done or not done.issuperset(model.dag.predecessors(node)):
                continue
            worst = max(peak, model.step(done, node))
            if worst <= limit:
                heappush(queue, (worst, -len(order) - 1, [*order, node]))
    return None
