# SPDX-License-Identifier: Apache-2.0
"""What a search algorithm gets and gives: one trial proposes one network within the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from tinytailor.nas.constraint import Constraint
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.nas.training.samples import Samples


class Suggest(Protocol):
    """How a trial asks for its hyperparameters: an optuna Trial is one."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True, eq=False)
class Problem:
    """The space, prices and budget of each device, and the samples of both parts, which networks
    read as ``x_train`` and ``x_valid`` (N, C, H, W).

    ``feasible`` is one network within the budgets; it exists, or there would be no problem.
    ``weights`` (classes,) are those of every loss; see training/class_weights.py.
    """

    space: Space
    constraints: tuple[Constraint, ...]
    feasible: Architecture
    train: Samples
    valid: Samples
    epochs: int
    batch: int
    weights: Tensor | None = None

    @cached_property
    def x_train(self) -> Tensor:
        return self.train.inputs()

    @cached_property
    def x_valid(self) -> Tensor:
        return self.valid.inputs()

    @property
    def y_train(self) -> Tensor:
        return self.train.y

    @property
    def y_valid(self) -> Tensor:
        return self.valid.y


@dataclass(frozen=True, slots=True)
class Proposal:
    """A network whose exact costs are within the budgets, and a record per epoch of how it came."""

    architecture: Architecture
    history: tuple[dict[str, Any], ...] = field(default=())


OnEpoch = Callable[[int, int, float], None]


class Algorithm(Protocol):
    """A search algorithm; all its chance comes from ``generator`` and ``trial``."""

    def __call__(
        self, problem: Problem, trial: Suggest, generator: torch.Generator, on_epoch: OnEpoch
    ) -> Proposal: ...
