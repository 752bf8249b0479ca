# SPDX-License-Identifier: Apache-2.0
"""Where tensors lie in each other's memory, so that moving bytes can mean moving none.

    Reshape                          its input, under another shape
    Slice of one contiguous run      its input, further on
    Concat along the first long axis its inputs are made where they belong in it

A tensor lies in a *home*, at a byte offset: a graph input, a graph output, or a block of the arena
named after the tensor that fills it. Such nodes run nothing. They do run where bytes must move all
the same: from an input of the graph to an output, or where one tensor would have to lie in two
places at once, or at an offset that breaks words apart, for which kernels were not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tinytailor.compiler.ir import Graph, Node, Shape

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
        rule = _RULES.get(node.op.kind)
        if rule is None:
            continue
        moved = rule(graph, node, of, borders)
        if isinstance(moved, str):
            copies[node.name] = moved
        else:
            views.add(node.name)
            of.update(moved)
    return Places(of, frozenset(views), copies)


Moved = dict[str, Place] | str  # tensors that lie elsewhere now, or why that cannot be


def _reshape(graph: Graph, node: Node, of: Mapping[str, Place], borders: set[str]) -> Moved:
    (source,) = node.inputs
    if node.output not in borders:
        return {node.output: of[source]}
    if of[source].home in borders:
        return "it leads from one border of the graph to another"
    return _into(graph, of, source, Place(node.output))


def _slice(graph: Graph, node: Node, of: Mapping[str, Place], borders: set[str]) -> Moved:
    op: Any = node.op
    start = run_start(graph.tensors[node.inputs[0]].shape, op.begin, op.size)
    if start is None:
        return "what it takes is not in one piece"
    if node.output in borders:
        return "its output is an output of the graph"
    source = of[node.inputs[0]]
    offset = source.offset + start
    if offset % WORD:
        return f"it starts at byte {offset}, not at a whole word"
    return {node.output: Place(source.home, offset)}


def _concat(graph: Graph, node: Node, of: Mapping[str, Place], borders: set[str]) -> Moved:
    op: Any = node.op
    if prod(graph.tensors[node.output].shape[: op.axis]) != 1:
        return "its inputs alternate in memory"
    moved: dict[str, Place] = {}
    offset = 0
    for name in node.inputs:
        if of[name].home in borders:
            return f"{name} lies in a border of the graph"
        if offset % WORD:
            return f"{name} would start at byte {offset}, not at a whole word"
        if name in moved:
            return f"{name} is joined twice"
        part = _into(graph, of, name, Place(node.output, offset))
        if isinstance(part, str):
            return part
        moved |= part
        offset += graph.tensors[name].bytes
    return moved


def _into(graph: Graph, of: Mapping[str, Place], name: str, target: Place) -> Moved:
    """Everything in the home of ``name`` moved to ``target``, which ``name`` must fill alone."""
    home = of[name].home
    whole = graph.tensors[home].bytes
    if of[name].offset or graph.tensors[name].bytes != whole:
        return f"{name} is a part of {home}"
    inside = {tensor: place for tensor, place in of.items() if place.home == home}
    return {t: Place(target.home, target.offset + p.offset) for t, p in inside.items()}


def run_start(shape: Shape, begin: Shape, size: Shape) -> int | None:
    """Offset of a slice that is contiguous in its input; None for others.

    It is so if all axes before the first partial one have one element left, and all after it whole.
    """
    partial = [i for i, (taken, whole) in enumerate(zip(size, shape, strict=True)) if taken < whole]
    if partial and prod(size[: partial[-1]]) != 1:
        return None
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    return sum(b * stride for b, stride in zip(begin, strides, strict=True))


_RULES = {"reshape": _reshape, "slice": _slice, "concat": _concat}
