# SPDX-License-Identifier: Apache-2.0
"""Channels that carry nothing are removed: constant ones, and ones that nobody reads.

    acc[o] = bias[o] + sum_c w[o,c] * x[c]        x[c] = v for all pixels
           = (bias[o] + w[o,c] * v) + sum over the others

A channel is constant if ranges.py says so, and unread if all weights on it are zero, those of
channels that are removed themselves not counted. It goes from the convolution that makes it up to
the convolutions that read it, through everything between that works channel by channel; operators
say which of that they do (``Operator.channels``). Which channels can go is the greatest solution of

    gone[input of a convolution]  within  constant or unread, its border reading the same value
    gone[input] = gone[output]            of what works channel by channel
    gone = none                           at the borders of the graph and at all other operators

found by starting from all and taking away until nothing changes. A layer keeps at least one
channel, and a multiple of 4 if it had one: the fast kernels work on four at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.traits.channels import Fewer, Link, Mixed
from tinytailor.compiler.ops.traits.ranges import Range
from tinytailor.compiler.passes.base import Notes, done, kept, rebuilt
from tinytailor.compiler.passes.ranges import ranges

GROUP = 4  # channels that the fast kernels take at a time
MAX_BIAS = 2**31 - 1
Gone = dict[str, np.ndarray]  # tensor -> which channels go


def remove_dead_channels(graph: Graph) -> tuple[Graph, Notes]:
    graph = rebuilt(graph, graph.nodes)
    found = ranges(graph)
    solution = _Solution(graph, found)
    solution.settle()
    while solution.round_up():
        solution.settle()
    gone = solution.gone
    notes = _notes(graph, found, solution)
    if not any(dead.any() for dead in gone.values()):
        return graph, notes
    tensors = {
        name: replace(tensor, shape=(*tensor.shape[:-1], int((~gone[name]).sum())))
        for name, tensor in graph.tensors.items()
    }
    nodes = [_smaller(node, gone, found) for node in graph.nodes]
    return rebuilt(graph, nodes, tensors), notes


class _Solution:
    """``gone`` on its way from everything to the greatest solution; ``why``: what stood against."""

    def __init__(self, graph: Graph, found: Mapping[str, Range]) -> None:
        self.graph, self.found = graph, found
        self.channels = {
            node.name: node.op.channels(graph.input_shapes(node), node.constants)
            for node in graph.nodes
        }
        self.gone: Gone = {
            name: np.ones(tensor.shape[-1], bool) for name, tensor in graph.tensors.items()
        }
        self.why: dict[str, str] = {}
        self.rounded: dict[str, int] = defaultdict(int)

    def settle(self) -> None:
        before = -1
        while before != (now := sum(int(dead.sum()) for dead in self.gone.values())):
            before = now
            for name in self.graph.inputs:
                self._keep(name, None, "it is an input of the graph")
            for name in self.graph.outputs:
                self._keep(name, None, "it is an output of the graph")
            for node in reversed(self.graph.nodes):
                self._constrain(node)

    def round_up(self) -> bool:
        """Keep more channels of the first layer that would be left with none, or an odd number."""
        for node in self.graph.nodes:
            dead = self.gone[node.output]
            if not isinstance(self.channels[node.name], Mixed) or not dead.any():
                continue
            left = int((~dead).sum())
            step = GROUP if len(dead) % GROUP == 0 else 1
            more = max(step, -(-left // step) * step) - left
            if more:
                self.rounded[node.name] += more
                self.gone[node.output][np.flatnonzero(dead)[:more]] = False
                return True
        return False

    def _keep(self, name: str, allowed: np.ndarray | None, reason: str) -> None:
        """Of tensor ``name`` only ``allowed`` channels may go."""
        dead = self.gone[name]
        stays = dead if allowed is None else dead & ~allowed
        if (stays & self.found[name].constant).any():
            self.why.setdefault(name, reason)
        self.gone[name] = dead & ~stays

    def _constrain(self, node: Node) -> None:
        channels = self.channels[node.name]
        if isinstance(channels, Mixed):
            allowed, reason = self._readable(node, channels)
            self._keep(node.inputs[0], allowed, reason)
            return
        links = channels or ()
        free = {node.inputs[link.input] for link in links} | ({node.output} if links else set())
        for name in (*node.inputs, node.output):
            if name not in free:
                self._keep(name, None, f"{node.name} ({node.op.kind}) needs all its channels")
        for link in links:
            self._join(node, link)

    def _join(self, node: Node, link: Link) -> None:
        """Channels that are linked go together, or none of them does."""
        ends = (node.inputs[link.input], link.part), (node.output, link.output)
        (one, part), (other, same) = ends
        both = self.gone[one][part] & self.gone[other][same]
        for (name, place), (far, _) in zip(ends, ends[::-1], strict=True):
            allowed = np.ones_like(self.gone[name])
            allowed[place] = both
            self._keep(name, allowed, self.why.get(far, f"{node.name} needs it"))

    def _readable(self, node: Node, mixed: Mixed) -> tuple[np.ndarray, str]:
        """Channels of the input that a weighted sum can do without, and why not the others."""
        left = ~self.gone[node.output]
        weight = mixed.weight[left].astype(np.int64)
        x = self.found[node.inputs[0]]
        unread: np.ndarray = np.logical_not(weight.any(axis=tuple(range(weight.ndim - 1))))
        foldable, reason = x.constant, ""
        if mixed.border is not None:
            foldable = np.logical_and(foldable, x.low == mixed.border)
            reason = f"the border of {node.name} reads another value"
        reach = 128 * np.abs(weight).sum(axis=tuple(range(1, weight.ndim)))
        if (np.abs(mixed.bias[left].astype(np.int64)) + reach > MAX_BIAS).any():
            return unread, f"the bias of {node.name} would leave 32 bits"
        return unread | foldable, reason


def _smaller(node: Node, gone: Gone, found: Mapping[str, Range]) -> Node:
    """The node without the channels that are gone."""
    first = node.inputs[0]
    fewer = Fewer(~gone[node.output], gone[first], found[first].low)
    op, constants = node.op.with_fewer_channels(fewer, node.constants)
    return replace(node, op=op, constants=constants)


def _notes(graph: Graph, found: Mapping[str, Range], solution: _Solution) -> Notes:
    notes: Notes = []
    for node in graph.nodes:
        if not isinstance(solution.channels[node.name], Mixed):
            continue
        dead, constant = solution.gone[node.output], found[node.output].constant
        if dead.any():
            text = f"{int(dead.sum())} of {len(dead)} channels go, {int((dead & constant).sum())} "
            text += f"of them constant, {int((dead & ~constant).sum())} never read"
            if solution.rounded[node.name]:
                text += f"; {solution.rounded[node.name]} more stay, for a multiple of {GROUP}"
            notes.append(done(node, text))
        left = int((constant & ~dead).sum())
        if left and not solution.rounded[node.name]:
            reason = solution.why.get(node.output, "one channel has to stay")
            notes.append(kept(node, f"{left} constant channels stay: {reason}"))
    return notes
