# SPDX-License-Identifier: Apache-2.0
"""What a search space is: independent decisions, and a topology for every way to take them.

A space is a chain of stages. What a stage costs depends on its own decisions and on the number of
channels that enters it, on nothing else; so the cheapest network of all is found exactly by dynamic
programming over that number (spaces/cheapest.py). A decision's options run from small to large.
Networks read one map (H, W, C); of a series H is time, W the sensors, and C is 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinytailor.compiler.opkey import OpKey
from tinytailor.nas.network.graphs import compiled_keys
from tinytailor.nas.network.topology import INPUT, Layer, Topology
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    import torch

    from tinytailor.nas.supernet.supernet import Supernet

Option = int | tuple[int, ...]
InputShape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to choose, such as ``fusion1.channels`` among (8, 16, 24, 32)."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of a space: the option taken for every decision, in the space's order."""

    space: str
    input_shape: InputShape
    classes: int
    choices: tuple[tuple[str, Option], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "space": self.space,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "choices": {
                name: list(option) if isinstance(option, tuple) else option
                for name, option in self.choices
            },
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Architecture:
        try:
            choices = tuple(
                (str(name), tuple(map(int, option)) if isinstance(option, list) else int(option))
                for name, option in record["choices"].items()
            )
            height, width, channels = map(int, record["input_shape"])
            shape = (height, width, channels)
            return cls(str(record["space"]), shape, int(record["classes"]), choices)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"not an architecture: {json.dumps(record, default=str)[:200]} ({error!r})"
            ) from error


@dataclass(frozen=True, slots=True)
class Stage:
    """A link of the chain: its decisions and the channel counts that can enter it."""

    name: str
    decisions: tuple[Decision, ...]
    in_channels: tuple[int, ...]

    def choices(self) -> Iterator[dict[str, Option]]:
        """Every way to take the stage's decisions."""
        names = [decision.name for decision in self.decisions]
        for options in product(*(decision.options for decision in self.decisions)):
            yield dict(zip(names, options, strict=True))


class Space(Protocol):
    """A search space for one input shape and number of classes."""

    @property
    def name(self) -> str: ...

    @property
    def input_shape(self) -> InputShape: ...

    @property
    def classes(self) -> int: ...

    @property
    def spec(self) -> str:
        """The space as --space takes it, such as ``timeseries:100x6x4``."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, stage by stage."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The chain, the input side first."""

    @property
    def stage_shapes(self) -> tuple[tuple[int, int], ...]:
        """(H, W) of what enters each stage."""

    def stage_layers(
        self, index: int, in_channels: int, choice: Mapping[str, Option], source: str
    ) -> tuple[tuple[Layer, ...], int]:
        """The layers of stage ``index`` reading ``source``, and the channels it hands on."""

    def stage_topology(
        self, index: int, in_channels: int, choice: Mapping[str, Option]
    ) -> Topology:
        """Stage ``index`` alone, reading a tensor of ``in_channels`` channels."""

    def topology(self, architecture: Architecture) -> Topology: ...

    def keys(self, isa: str) -> tuple[OpKey, ...]:
        """Every key that a layer of some network of the space has, alone or as it is compiled
        among others, sorted, none else."""

    def sample(self, rng: np.random.Generator) -> Architecture: ...

    def smallest(self) -> Architecture:
        """The first option of every decision."""

    def supernet(self, generator: torch.Generator) -> Supernet:
        """All networks of the space in one module, initialised from ``generator``."""


class Chain:
    """What a space is given by its stages alone."""

    def stage_topology(
        self: Space, index: int, in_channels: int, choice: Mapping[str, Option]
    ) -> Topology:
        layers, _ = self.stage_layers(index, in_channels, choice, INPUT)
        return Topology((1, *self.stage_shapes[index], in_channels), layers, index == 0)

    def topology(self: Space, arch: Architecture) -> Topology:
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
        for index in range(len(self.stages)):
            added, channels = self.stage_layers(index, channels, choice, source)
            layers.extend(added)
            source = layers[-1].name
        return Topology((1, *self.input_shape), tuple(layers))

    def keys(self: Space, isa: str) -> tuple[OpKey, ...]:
        keys: set[OpKey] = set()
        for index, stage in enumerate(self.stages):
            for choice in stage.choices():
                for channels in stage.in_channels:
                    topology = self.stage_topology(index, channels, choice)
                    keys.update(topology.keys(isa), compiled_keys(topology, isa))
        return tuple(sorted(keys))

    def sample(self: Space, rng: np.random.Generator) -> Architecture:
        """Every option of every decision with equal probability."""
        return architecture(
            self, {d.name: d.options[int(rng.integers(len(d.options)))] for d in self.decisions}
        )

    def smallest(self: Space) -> Architecture:
        return architecture(self, {d.name: d.options[0] for d in self.decisions})


@dataclass(frozen=True, slots=True)
class SpaceKind:
    """How a space is written and made: ``make`` takes one number for each of ``axes``.

    These are the axes of one sample of the data, then the classes.
    """

    axes: tuple[str, ...]
    example: tuple[int, ...]
    make: Callable[..., Space]

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
