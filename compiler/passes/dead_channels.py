# SPDX-License-Identifier: Apache-2.0
"""Channels that carry nothing are removed: constant ones, and ones that nobody reads.

    acc[o] = bias[o] + sum_c w[o,c] * x[c]        x[c] = v for all pixels
           = (bias[o] + w[o,c] * v) + sum over the others

A channel is constant if ranges.py says so, and unread if all weights on it are zero, those of
channels that are removed themselves not counted. It goes from the convolution that makes it up to
the convolutions that read it, through everything between that works channel by channel. Which
channels can go is the greatest solution of

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
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops import Concat, Conv2d, Dense, DepthwiseConv2d, Pad, Reshape
from tinytailor.compiler.passes.base import Notes, done, kept, rebuilt
from tinytailor.compiler.passes.ranges import Range, packed, ranges

GROUP = 4  # channels that the fast kernels take at a time
CHANNELWISE = ("add", "add_constant", "average_pool2d", "lookup", "max_pool2d", "mul")
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
    nodes = [_smaller(graph, node, gone, found) for node in graph.nodes]
    return rebuilt(graph, nodes, tensors), notes


class _Solution:
    """``gone`` on its way from everything to the greatest solution; ``why``: what stood against."""

    def __init__(self, graph: Graph, found: Mapping[str, Range]) -> None:
        self.graph, self.found = graph, found
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
            if not isinstance(node.op, Conv2d | Dense) or not dead.any():
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
        if _mixes(node):
            allowed, reason = self._readable(node)
            self._keep(node.inputs[0], allowed, reason)
            return
        pairs = _linked(self.graph, node)
        if pairs is None:
            for name in (*node.inputs, node.output):
                self._keep(name, None, f"{node.name} ({node.op.kind}) needs all its channels")
            return
        for (one, part), (other, same) in pairs:
            both = self.gone[one][part] & self.gone[other][same]
            for name, place in ((one, part), (other, same)):
                allowed = np.ones_like(self.gone[name])
                allowed[place] = both
                reason = self.why.get(other if name == one else one, f"{node.name} needs it")
                self._keep(name, allowed, reason)

    def _readable(self, node: Node) -> tuple[np.ndarray, str]:
        """Channels of the input that a convolution can do without, and why not the others."""
        op: Any = node.op
        weight = node.constants["weight"][~self.gone[node.output]].astype(np.int64)
        x = self.found[node.inputs[0]]
        within = tuple(range(1, weight.ndim))
        unread: np.ndarray = np.logical_not(weight.any(axis=tuple(range(weight.ndim - 1))))
        bordered = any(getattr(op, "padding", ()))
        foldable = x.constant
        if bordered:
            foldable = np.logical_and(foldable, x.low == op.input_zero_point)
        reason = f"the border of {node.name} reads another value" if bordered else ""
        reach = 128 * np.abs(weight).sum(axis=within)
        bias = np.abs(node.constants["bias"].astype(np.int64)[~self.gone[node.output]])
        if (bias + reach > MAX_BIAS).any():
            return unread, f"the bias of {node.name} would leave 32 bits"
        return unread | foldable, reason


def _mixes(node: Node) -> bool:
    """Whether each output channel is a sum over the input's, weighted by a plain array."""
    return isinstance(node.op, Conv2d | Dense) and len(node.inputs) == 1 and not packed(node)


Link = tuple[tuple[str, Any], tuple[str, Any]]  # channels of one tensor = channels of another


def _linked(graph: Graph, node: Node) -> list[Link] | None:
    """Which channels of a node's tensors come and go together; None where it needs them all."""
    shapes, y = graph.input_shapes(node), graph.tensors[node.output].shape
    everything = slice(None)
    plain: list[Link] = [((name, everything), (node.output, everything)) for name in node.inputs]
    op: Any = node.op
    if isinstance(op, Concat) and op.axis == len(y) - 1:
        links: list[Link] = []
        start = 0
        for name, shape in zip(node.inputs, shapes, strict=True):
            links.append(((name, everything), (node.output, slice(start, start + shape[-1]))))
            start += shape[-1]
        return links
    if isinstance(op, Reshape):
        return _reshaped(node, shapes[0][-1], y[-1])
    if packed(node) or any(shape[-1] != y[-1] for shape in shapes):
        return None
    if isinstance(op, Pad):
        return None if op.before[2] or op.after[2] else plain
    if op.kind == "slice":
        return plain if op.size[-1] == shapes[0][-1] else None
    if op.kind in CHANNELWISE or isinstance(op, DepthwiseConv2d | Concat):
        return plain
    return None


def _reshaped(node: Node, channels: int, columns: int) -> list[Link] | None:
    """A row of pixels holds every channel once a pixel, and so the other way round."""
    wide, narrow = (node.output, node.inputs[0])
    if columns < channels:
        wide, narrow, channels, columns = narrow, wide, columns, channels
    if columns % channels:
        return None
    return [
        ((narrow, slice(None)), (wide, slice(start, start + channels)))
        for start in range(0, columns, channels)
    ]


def _smaller(graph: Graph, node: Node, gone: Gone, found: Mapping[str, Range]) -> Node:
    """The node without the channels that are gone."""
    op: Any = node.op
    stay, dead = ~gone[node.output], gone[node.inputs[0]]
    constants = dict(node.constants)
    if _mixes(node):
        weight = constants["weight"][stay]
        sums = weight.astype(np.int64).reshape(len(weight), -1, weight.shape[-1]).sum(axis=1)
        values = found[node.inputs[0]].low
        folded = constants["bias"][stay] + sums[:, dead] @ values[dead]
        constants["weight"] = np.ascontiguousarray(weight[..., ~dead])
        constants["bias"] = folded.astype(np.int32)
        constants["multiplier"] = constants["multiplier"][stay]
        size = {"out_channels" if isinstance(op, Conv2d) else "out_features": int(stay.sum())}
        return replace(node, op=replace(op, **size), constants=constants)
    if isinstance(op, Reshape):
        shape = graph.tensors[node.output].shape
        op = replace(op, shape=(*shape[:-1], int(stay.sum())))
    elif op.kind == "slice":
        op = replace(op, size=(*op.size[:-1], int(stay.sum())))
    elif isinstance(op, DepthwiseConv2d):
        constants = {role: np.ascontiguousarray(a[..., stay]) for role, a in constants.items()}
    elif op.kind == "add_constant":
        constants["bias"] = constants["bias"][stay]
    return replace(node, op=op, constants=constants)


def _notes(graph: Graph, found: Mapping[str, Range], solution: _Solution) -> Notes:
    notes: Notes = []
    for node in graph.nodes:
        if not isinstance(node.op, Conv2d | Dense):
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
