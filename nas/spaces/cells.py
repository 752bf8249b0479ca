# SPDX-License-Identifier: Apache-2.0
"""Cells: the structure of a space, stated once, as data.

A cell is a list of items in execution order. Each writes a tensor of the cell, ``INPUT`` is what
enters, and what the last item writes is handed on.

    Part   a layer: its kind, what it reads, its width, and when a network has it
    Pass   another name for a tensor, where a layer is left out
    Join   the sum of those of its terms that a network has: one addition less than terms

Items that write the same tensor exclude each other: a network has one of them, a supernet the mean
of all, weighted by their probabilities. So a choice of kernels or of kinds is several parts of one
name, a branch that may be missing is a part with a condition under a join, and a layer that may be
missing is a part and a pass (``optional``). A cell may as a whole be left out, by a decision.

From this follow the layers of a network (here), the supernet and expected costs (nas/supernet).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from tinytailor.nas.layers import Kind, Layer
from tinytailor.nas.network.topology import INPUT
from tinytailor.nas.spaces.decisions import Decision, Option, When
from tinytailor.targets.errors import InputError

Width = Decision | str | int | None


@dataclass(frozen=True, slots=True)
class Part:
    """The layer ``name`` of ``kind``, in networks where every condition of ``when`` holds.

    ``width``: how many channels it writes: the option of a Decision, a number, INPUT for as many as
    enter the cell, None for as many as it reads. It writes the tensor ``writes``, by default its
    own name; alternatives write one tensor.
    """

    name: str
    kind: Kind
    reads: tuple[str, ...] = (INPUT,)
    width: Width = None
    when: tuple[When, ...] = ()
    writes: str = ""

    @property
    def tensor(self) -> str:
        return self.writes or self.name


@dataclass(frozen=True, slots=True)
class Pass:
    """``writes`` is ``reads``, where every condition of ``when`` holds."""

    writes: str
    reads: str
    when: tuple[When, ...] = ()

    @property
    def tensor(self) -> str:
        return self.writes


@dataclass(frozen=True, slots=True)
class Join:
    """``writes`` is the sum of those ``terms`` that are there.

    ``terms``: tensors, each with the name of the layer of ``kind`` that adds it to those before it;
    the first one needs none. Terms have one shape and one width.
    """

    writes: str
    kind: Kind
    terms: tuple[tuple[str, str], ...]

    @property
    def tensor(self) -> str:
        return self.writes


Item = Part | Pass | Join


def optional(part: Part, decision: Decision) -> tuple[Part, Pass]:
    """``part`` where ``decision`` takes 1; where it takes 0, what the part reads instead."""
    (reads,) = part.reads
    there = replace(part, when=(*part.when, decision.among(1)))
    return there, Pass(part.tensor, reads, (*part.when, decision.among(0)))


@dataclass(frozen=True, slots=True)
class Cell:
    """``items`` under ``decisions``; ``keep``: the one that leaves the whole cell out at 0."""

    name: str
    decisions: tuple[Decision, ...]
    items: tuple[Item, ...]
    keep: Decision | None = None

    @property
    def decision(self) -> dict[str, Decision]:
        """The decisions by name."""
        return {decision.name: decision for decision in self.decisions}

    def choices(self) -> Iterator[dict[str, Option]]:
        """Every way to take the cell's decisions."""
        names = [decision.name for decision in self.decisions]
        for options in product(*(decision.options for decision in self.decisions)):
            yield dict(zip(names, options, strict=True))

    def layers(
        self, in_channels: int, choice: Mapping[str, Option], source: str
    ) -> tuple[tuple[Layer, ...], int]:
        """The layers that ``choice`` takes, reading ``source``, and the channels handed on."""
        if self.keep is not None and not choice[self.keep.name]:
            return (), in_channels
        channels, names, layers = {INPUT: in_channels}, {INPUT: source}, []
        taken, result = resolved(self, lambda when: choice[when.decision] in when.options)
        for use in taken:
            channels[use.name] = _channels(use, channels, choice)
            names[use.name] = use.name
            sources = tuple(names[read] for read in use.reads)
            layers.append(Layer(use.name, sources, use.kind.at(channels[use.name])))
        return tuple(layers), channels[result]


@dataclass(frozen=True, slots=True)
class Use:
    """A layer that a network has: ``slot`` names what it takes of the supernet.

    ``reads`` are layers of the cell, or INPUT. ``when``: the conditions of its part.
    """

    slot: str
    name: str
    kind: Kind
    reads: tuple[str, ...]
    width: Width
    when: tuple[When, ...] = ()


def resolved(cell: Cell, holds: Callable[[When], bool]) -> tuple[tuple[Use, ...], str]:
    """The layers of a cell that is there, and the one that writes its result."""
    layer_of: dict[str, str] = {INPUT: INPUT}
    uses: list[Use] = []
    for item, slot in zip(cell.items, slot_names(cell), strict=True):
        if isinstance(item, Join):
            uses.extend(_additions(item, layer_of))
        elif all(map(holds, item.when)):
            if item.tensor in layer_of:
                raise InputError(f"cell {cell.name}: two items write {item.tensor} at once")
            if isinstance(item, Pass):
                layer_of[item.writes] = _found(cell, layer_of, item.reads)
            else:
                reads = tuple(_found(cell, layer_of, read) for read in item.reads)
                uses.append(Use(slot, item.name, item.kind, reads, item.width, item.when))
                layer_of[item.tensor] = item.name
    result = _found(cell, layer_of, cell.items[-1].tensor)
    _check(cell, uses, result)
    return tuple(uses), result


def _check(cell: Cell, uses: Sequence[Use], result: str) -> None:
    """InputError where layers share a name, or one is read by nothing; so the last writes the
    result."""
    names = [use.name for use in uses]
    read = {result, *(name for use in uses for name in use.reads)}
    twice = next((name for name in names if names.count(name) > 1), "")
    unread = next((name for name in names if name not in read), "")
    if twice or unread:
        problem = f"two of its layers are called {twice}" if twice else f"nothing reads {unread}"
        raise InputError(f"cell {cell.name}: {problem}, in some of the cell's forms")


def _found(cell: Cell, layer_of: Mapping[str, str], tensor: str) -> str:
    if tensor not in layer_of:
        raise InputError(f"cell {cell.name}: {tensor} is read where no item writes it")
    return layer_of[tensor]


def _additions(join: Join, layer_of: dict[str, str]) -> Iterator[Use]:
    """The layers of a join; its tensor is what the last one writes."""
    total = ""
    for tensor, name in join.terms:
        if tensor in layer_of:
            term = layer_of[tensor]
            if total:
                yield Use(name, name, join.kind, (total, term), None)
            total = name if total else term
    if total:
        layer_of[join.writes] = total


def slot_names(cell: Cell) -> tuple[str, ...]:
    """A name for each item: of its tensor, and a number where several write that."""
    tensors = [item.tensor for item in cell.items]
    return tuple(
        tensor if tensors.count(tensor) == 1 else f"{tensor}.{tensors[:i].count(tensor)}"
        for i, tensor in enumerate(tensors)
    )


def _channels(use: Use, known: Mapping[str, int], choice: Mapping[str, Option]) -> int:
    """How many channels a layer writes."""
    if use.width is None:
        return known[use.reads[0]]
    if isinstance(use.width, int):
        return use.width
    option = known[INPUT] if isinstance(use.width, str) else choice[use.width.name]
    assert isinstance(option, int)
    return option


def halvings(size: int, least: int) -> int:
    """How often ``size`` can be halved, rounding up, without falling below ``least``; 1 or more."""
    count = 0
    while -(-size // 2) >= least:
        size, count = -(-size // 2), count + 1
    return max(count, 1)
