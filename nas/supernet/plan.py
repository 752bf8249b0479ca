# SPDX-License-Identifier: Apache-2.0
"""What a cell may need under any probabilities, worked out once from its scenarios.

A slot is a layer that some network of the space has, at all its widths. In scenario s slot l is
there or not, m[l, s]; while it runs, its inputs, its output and whatever waits for later layers are
alive: a[l, s, k] pixels whose number of channels has span k.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tinytailor.nas.layers import Kind, Layer
from tinytailor.nas.network.topology import INPUT, Topology, input_name
from tinytailor.nas.spaces.base import Stage
from tinytailor.nas.spaces.cells import Cell, Join, slot_names
from tinytailor.nas.spaces.scenarios import Scenario, Span, scenarios, span_of
from tinytailor.targets.errors import InputError

FIXED = (1,)  # the widths of a side whose number of channels is given or does not matter


@dataclass(frozen=True, slots=True)
class Slot:
    """A layer of ``kind`` over maps of ``shapes``, from ``reads`` to ``writes`` channels."""

    name: str
    kind: Kind
    shapes: tuple[tuple[int, int], ...]
    reads: Span
    writes: Span

    @property
    def one_width(self) -> bool:
        """Whether it writes as many channels as it reads: ``outputs``, and ``inputs`` is FIXED."""
        return self.kind.one_width or self.reads == self.writes

    @property
    def inputs(self) -> tuple[int, ...]:
        return FIXED if self.one_width else self.reads.options

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.writes.options

    def topology(self, channels_in: int, channels_out: int) -> Topology:
        """The layer alone at these widths."""
        channels = channels_out if self.one_width else channels_in
        shapes = tuple((1, *shape, channels) for shape in self.shapes)
        sources = tuple(input_name(index) for index in range(len(shapes)))
        layer = Layer(self.name, sources, self.kind.at(channels_out))
        return Topology(shapes[0], (layer,), False, shapes[1:])

    def widest(self) -> Topology:
        return self.topology(self.inputs[-1], self.outputs[-1])

    def inner_widths(self) -> dict[str, tuple[int, ...]]:
        """Channels of the tensors inside, for every output width every input width."""
        sizes: dict[str, list[int]] = {}
        for channels_out in self.outputs:
            for channels_in in self.inputs:
                for step in self.topology(channels_in, channels_out).steps[:-1]:
                    sizes.setdefault(step.name, []).append(step.shape[3])
        return {name: tuple(counts) for name, counts in sizes.items()}


@dataclass(frozen=True, eq=False)
class CellPlan:
    """``present`` is m, ``alive`` is a over ``columns``; ``results`` span what each scenario
    hands on."""

    stage: Stage
    scenarios: tuple[Scenario, ...]
    slots: dict[str, Slot]
    present: Tensor
    alive: Tensor
    columns: tuple[Span, ...]
    results: tuple[Span, ...]

    @property
    def entering(self) -> Span:
        return Span(INPUT, self.stage.in_channels)


def plan_cell(stage: Stage) -> CellPlan:
    entering, found = Span(INPUT, stage.in_channels), scenarios(stage.cell)
    topologies = [scenario.widest(stage.shape, entering) for scenario in found]
    slots = _slots(stage, found, topologies, entering)
    rows = {name: row for row, name in enumerate(slots)}
    pixels: dict[tuple[int, int, Span], int] = {}
    present = torch.zeros(len(slots), len(found))
    for s, (scenario, topology) in enumerate(zip(found, topologies, strict=True)):
        shapes, spans = topology.shapes, scenario.spans(entering)
        for index, use in enumerate(scenario.uses):
            present[rows[use.slot], s] = 1
            for name in _alive(scenario, index):
                if name == INPUT and stage.first:
                    continue  # the network's input belongs to the caller
                place = (rows[use.slot], s, spans[name])
                pixels[place] = pixels.get(place, 0) + shapes[name][1] * shapes[name][2]
    columns = tuple(dict.fromkeys(span for *_, span in pixels))
    alive = torch.zeros(len(slots), len(found), len(columns))
    for (row, s, span), count in pixels.items():
        alive[row, s, columns.index(span)] = count
    results = tuple(scenario.spans(entering)[scenario.result] for scenario in found)
    return CellPlan(stage, found, slots, present, alive, columns, results)


def _slots(
    stage: Stage, found: tuple[Scenario, ...], topologies: list[Topology], entering: Span
) -> dict[str, Slot]:
    """By name, in the order of the cell's items."""
    slots: dict[str, Slot] = {}
    for scenario, topology in zip(found, topologies, strict=True):
        shapes, spans = topology.shapes, {INPUT: entering}
        for use in scenario.uses:
            read = {spans[name].under(use.when) for name in use.reads}
            spans[use.name] = span_of(use.width, entering, spans[use.reads[0]]).under(use.when)
            maps = tuple((shapes[name][1], shapes[name][2]) for name in use.reads)
            slot = Slot(use.slot, use.kind, maps, read.pop(), spans[use.name])
            if read or slots.setdefault(use.slot, slot) != slot:
                raise InputError(
                    f"cell {stage.cell.name}: {use.name} reads tensors whose maps or numbers of "
                    "channels differ; all that a layer reads is of one width, in all of the cell's "
                    "forms"
                )
    return {name: slots[name] for name in _in_order(stage.cell) if name in slots}


def _in_order(cell: Cell) -> Iterator[str]:
    for item, name in zip(cell.items, slot_names(cell), strict=True):
        if isinstance(item, Join):
            yield from dict.fromkeys(name for _, name in item.terms)
        else:
            yield name


def _alive(scenario: Scenario, index: int) -> Iterator[str]:
    """The tensors that exist while the layer at ``index`` runs."""
    made = {INPUT: -1, **{use.name: i for i, use in enumerate(scenario.uses)}}
    last = {read: i for i, use in enumerate(scenario.uses) for read in use.reads}
    last[scenario.result] = len(scenario.uses)
    return (name for name in made if made[name] <= index <= last.get(name, made[name]))
