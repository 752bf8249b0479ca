# SPDX-License-Identifier: Apache-2.0
"""What a search algorithm gets and gives: one trial proposes one network within the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import Parts
from tinytailor.nas.spaces import Architecture, Space


class Suggest(Protocol):
    """How a trial asks for its hyperparameters: an optuna Trial is one."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """The space, its prices, the budget, and series (N, 1, T, C) with labels (N,).

    ``feasible`` is one network within the budget; it exists, or there would be no problem.
    ``weights`` (classes,) are those of every loss; see training/class_weights.py.
    """

    space: Space
    parts: Parts
    budget: Budget
    feasible: Architecture
    x_train: Tensor
    y_train: Tensor
    x_valid: Tensor
    y_valid: Tensor
    epochs: int
    batch: int
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A network whose exact cost is within the budget, and one record per epoch of how it came."""

    architecture: Architecture
    history: tuple[dict[str, Any], ...] = field(default=())


OnEpoch = Callable[[int, int, float], None]


class Algorithm(Protocol):
    """A search algorithm; all its chance comes from ``generator`` and ``trial``."""

    def __call__(
        self, problem: Problem, trial: Suggest, generator: torch.Generator, on_epoch: OnEpoch
    ) -> Proposal: ...
