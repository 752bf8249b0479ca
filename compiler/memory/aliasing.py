# SPDX-License-Identifier: Apache-2.0
"""Where tensors lie in each other's memory, so that moving bytes can mean moving none.

    a reshape                         its input, under another shape
    a slice of one contiguous run     its input, further on
    a join along the first long axis  its inputs are made where they belong in it

Operators say where their tensors can lie (``Operator.view``). A tensor lies in a *home*, at a byte
offset: a graph input, a graph output, or a block of the arena named after the tensor that fills it.
Such nodes run nothing. They do run where bytes must move all the same: from an input of the graph
to an output, or where one tensor would have to lie in two places at once, or at an offset that
breaks words apart, for which kernels were not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.traits.neighbours import View

WORD = 4  # offsets of tensors within a home are multiples of this


@dataclass(frozen=True, slots=True)
class Place:
    home: str
    offset: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """``of``: tensor -> place; ``views``: nodes that run nothing, by name, with what they are."""

    of: Mapping[str, Place]
    views: frozenset[str]
    copies: Mapping[str, str]  # nodes that could be views -> why they are not


def computing(graph: Graph) -> tuple[Node, ...]:
    """The nodes of ``graph`` that code is emitted for."""
    views = places(graph).views
    return tuple(node for node in graph.nodes if node.name not in views)


def places(graph: Graph) -> Places:
    """The place of every tensor; depends on shapes and on who reads what, nothing else."""
    borders = {*graph.inputs, *graph.outputs}
    of = {name: Place(name) for name in graph.inputs}
    views, copies = set(), {}
    for node in graph.nodes:
        of[node.output] = Place(node.output)
        view = node.op.view(*graph.input_shapes(node))
        if view is None:
            continue
        moved = view if isinstance(view, str) else _moved(graph, node, view, of, borders)
        if isinstance(moved, str):
            copies[node.name] = moved
        else:
            views.add(node.name)
            of.update(moved)
    return Places(of, frozenset(views), copies)


Moved = dict[str, Place] | str  # tensors that lie elsewhere now, or why that cannot be


def _moved(
    graph: Graph, node: Node, view: View, of: Mapping[str, Place], borders: set[str]
) -> Moved:
    """The output within the input, if it may lie there, or else the inputs within the output."""
    if view.output_at is not None and node.output not in borders:
        source = of[node.inputs[0]]
        offset = source.offset + view.output_at
        if offset % WORD:
            return f"it starts at byte {offset}, not at a whole word"
        return {node.output: Place(source.home, offset)}
    if view.inputs_at is None:
        return "its output is an output of the graph"
    moved: dict[str, Place] = {}
    for name, offset in zip(node.inputs, view.inputs_at, strict=True):
        if of[name].home in borders:
            if view.output_at is not None:
                return "it leads from one border of the graph to another"
            return f"{name} lies in a border of the graph"
        if offset % WORD:
            return f"{name} would start at byte {offset}, not at a whole word"
        if name in moved:
            return f"{name} is joined twice"
        part = _into(graph, of, name, Place(node.output, offset))
        if isinstance(part, str):
            return part
        moved |= part
    return moved


def _into(graph: Graph, of: Mapping[str, Place], name: str, target: Place) -> Moved:
    """Everything in the home of ``name`` moved to ``target``, which ``name`` must fill alone."""
    home = of[name].home
    whole = graph.tensors[home].bytes
    if of[name].offset or graph.tensors[name].bytes != whole:
        return f"{name} is a part of {home}"
    inside = {tensor: place for tensor, place in of.items() if place.home == home}
    return {t: Place(target.home, target.offset + p.offset) for t, p in inside.items()}
