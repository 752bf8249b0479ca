# SPDX-License-Identifier: Apache-2.0
"""Decisions, conditions on them, and the network that taking all of them makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinytailor.targets.errors import InputError

Option = int | tuple[int, ...]
InputShape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to choose, such as ``fusion1.channels`` among (8, 16, 24, 32), small to large."""

    name: str
    options: tuple[Option, ...]

    def among(self, *options: Option) -> When:
        """That one of ``options`` is taken."""
        return self.where(lambda option: option in options)

    def where(self, holds: Callable[[Any], Any]) -> When:
        """That the option taken is one for which ``holds``."""
        return When(self.name, tuple(option for option in self.options if holds(option)))


@dataclass(frozen=True, slots=True)
class When:
    """A condition: the decision takes one of ``options``."""

    decision: str
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
