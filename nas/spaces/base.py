# SPDX-License-Identifier: Apache-2.0
"""What a search space is: independent decisions, and a topology for every way to take them.

A space is a chain of stages. What a stage costs depends on its own decisions and on the number of
channels that enters it, on nothing else; so the cheapest network of all is found exactly by dynamic
programming over that number (spaces/cheapest.py). A decision's options run from small to large.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinytailor.compiler.opkey import OpKey
from tinytailor.nas.topology import Layer, Topology
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    import torch

    from tinytailor.nas.supernet import Supernet

Option = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to choose, such as ``fusion1.channels`` among (8, 16, 24, 32)."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of a space: the option taken for every decision, in the space's order."""

    space: str
    time: int
    sensors: int
    classes: int
    choices: tuple[tuple[str, Option], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "space": self.space,
            "time": self.time,
            "sensors": self.sensors,
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
            time, sensors, classes = (int(record[key]) for key in ("time", "sensors", "classes"))
            return cls(str(record["space"]), time, sensors, classes, choices)
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
    def time(self) -> int: ...

    @property
    def sensors(self) -> int: ...

    @property
    def classes(self) -> int: ...

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, stage by stage."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The chain, the input side first."""

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
    return Architecture(space.name, space.time, space.sensors, space.classes, choices)


def sample(space: Space, rng: np.random.Generator) -> Architecture:
    """Every option of every decision with equal probability."""
    return architecture(
        space, {d.name: d.options[int(rng.integers(len(d.options)))] for d in space.decisions}
    )


def neighbours(space: Space, start: Architecture) -> tuple[Architecture, ...]:
    """All networks that differ from ``start`` in one decision."""
    choice = dict(start.choices)
    return tuple(
        architecture(space, {**choice, decision.name: option})
        for decision in space.decisions
        for option in decision.options
        if option != choice[decision.name]
    )
