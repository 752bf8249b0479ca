# SPDX-License-Identifier: Apache-2.0
"""What a search space is: independent decisions, and a topology for every way to take them.

A space is a chain of cells. What a cell costs depends on its own decisions and on the number of
channels that enters it, on nothing else; so the cheapest network of all is found exactly by dynamic
programming over that number (search/cheapest.py). A decision's options run from small to large.
Networks read one map (H, W, C); of a series H is time, W the sensors, and C is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinytailor.compiler.opkey import OpKey
from tinytailor.nas.layers import Layer
from tinytailor.nas.network.graphs import compiled_keys, input_type
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.spaces.cells import Cell, Part
from tinytailor.nas.spaces.decisions import Architecture, Decision, InputShape, Option
from tinytailor.nas.spaces.scenarios import leaving
from tinytailor.targets.core import Isa
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Stage:
    """A cell in its place: the map (H, W) that enters, and in how many channels it can."""

    cell: Cell
    shape: tuple[int, int]
    in_channels: tuple[int, ...]
    first: bool

    def topology(self, in_channels: int, choice: Mapping[str, Option]) -> Topology:
        """The cell alone, reading a tensor of ``in_channels`` channels."""
        layers, _ = self.cell.layers(in_channels, choice, INPUT)
        return Topology((1, *self.shape, in_channels), layers, self.first)


@dataclass(frozen=True)
class Space:
    """A search space for inputs of one shape: ``spec`` is how --space takes it."""

    name: str
    input_shape: InputShape
    classes: int
    spec: str
    cells: tuple[Cell, ...]

    @cached_property
    def sampled(self) -> bool:
        """Whether its networks read the int16 samples of a sensor."""
        return input_type(self.topology(self.smallest())) != "int8"

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, cell by cell."""
        return tuple(decision for cell in self.cells for decision in cell.decisions)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The chain, the input side first."""
        stages: list[Stage] = []
        height, width, channels = self.input_shape
        shape: tuple[int, int] = (height, width)
        widths: tuple[int, ...] = (channels,)
        for cell in self.cells:
            stages.append(Stage(cell, shape, widths, not stages))
            shape, widths = leaving(cell, shape, widths)
        return tuple(stages)

    def topology(self, arch: Architecture) -> Topology:
        mine = (self.name, self.input_shape, self.classes)
        if (arch.space, arch.input_shape, arch.classes) != mine:
            shape = "x".join(map(str, arch.input_shape))
            raise InputError(
                f"an architecture of {arch.space} for inputs of {shape} and {arch.classes} classes "
                f"is not one of {self.spec}"
            )
        choice = dict(architecture(self, dict(arch.choices)).choices)
        layers: list[Layer] = []
        channels, source = self.input_shape[2], INPUT
        for cell in self.cells:
            added, channels = cell.layers(channels, choice, source)
            layers.extend(added)
            source = layers[-1].name if layers else INPUT
        return Topology((1, *self.input_shape), tuple(layers))

    def keys(self, isa: str) -> tuple[OpKey, ...]:
        """Every key that a layer of some network of the space has, alone or as it is compiled among
        others, sorted, none else."""
        return tuple(replace(key, isa=isa) for key in self._operators)

    @cached_property
    def _operators(self) -> tuple[OpKey, ...]:
        """The keys for one instruction set; those for another differ in its name alone."""
        isa = str(Isa.BASE)
        forms = {
            topology.structure: topology
            for stage in self.stages
            for choice in stage.cell.choices()
            for topology in (stage.topology(channels, choice) for channels in stage.in_channels)
        }
        keys = {key for form in forms.values() for key in form.keys(isa)}
        compiled = {key for form in forms.values() for key in compiled_keys(form, isa)}
        return tuple(sorted(keys | compiled))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Every option of every decision with equal probability."""
        return architecture(
            self, {d.name: d.options[int(rng.integers(len(d.options)))] for d in self.decisions}
        )

    def narrowed(self, options: Mapping[str, tuple[Option, ...]]) -> Space:
        """The same networks with fewer options for some decisions, by name."""
        cells = tuple(
            replace(
                cell,
                decisions=tuple(
                    replace(d, options=tuple(o for o in d.options if o in options[d.name]))
                    if d.name in options
                    else d
                    for d in cell.decisions
                ),
            )
            for cell in self.cells
        )
        return replace(self, cells=cells)

    @cached_property
    def sizes(self) -> frozenset[str]:
        """Decisions on how much there is of something: of channels, and whether a cell is there."""
        kept = {cell.keep.name for cell in self.cells if cell.keep is not None}
        widths = {
            item.width.name
            for cell in self.cells
            for item in cell.items
            if isinstance(item, Part) and isinstance(item.width, Decision)
        }
        return frozenset(kept | widths)

    def smallest(self) -> Architecture:
        """The first option of every decision."""
        return architecture(self, {d.name: d.options[0] for d in self.decisions})

    def largest(self) -> Architecture:
        """The last option of every decision."""
        return architecture(self, {d.name: d.options[-1] for d in self.decisions})


@dataclass(frozen=True, slots=True)
class SpaceKind:
    """How a space is written and made: ``make`` takes one number for each of ``axes``.

    These are the axes of one sample of the data, then the classes. ``tiny``: a space of this kind
    with all that its structure has and so few options that all of its networks can be visited.
    """

    axes: tuple[str, ...]
    example: tuple[int, ...]
    make: Callable[..., Space]
    tiny: Callable[[], Space]

    @property
    def syntax(self) -> str:
        return "x".join(self.axes)


def architecture(space: Space, choice: Mapping[str, Option]) -> Architecture:
    """An Architecture; InputError if a decision is missing, unknown or out of range."""
    unknown = sorted(set(choice) - {d.name for d in space.decisions})
    if unknown:
        raise InputError(f"space {space.name} has no decision {', '.join(unknown)}")
    for decision in space.decisions:
        if choice.get(decision.name) not in decision.options:
            raise InputError(
                f"space {space.name}: {decision.name} is {choice.get(decision.name)!r}, "
                f"expected one of {list(decision.options)}"
            )
    choices = tuple((d.name, choice[d.name]) for d in space.decisions)
    return Architecture(space.name, space.input_shape, space.classes, choices)


def neighbours(space: Space, start: Architecture) -> tuple[Architecture, ...]:
    """All networks that differ from ``start`` in one decision."""
    choice = dict(start.choices)
    return tuple(
        architecture(space, {**choice, decision.name: option})
        for decision in space.decisions
        for option in decision.options
        if option != choice[decision.name]
    )
