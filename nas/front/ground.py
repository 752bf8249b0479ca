# SPDX-License-Identifier: Apache-2.0
"""What all parts of a search with shared networks stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.cost import NetworkCost
from tinytailor.nas.quantization import Quantizer
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.scores import METRICS, metric_values, numbered, score_answers
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.nas.training.samples import Samples
from tinytailor.nas.training.train import cross_entropy


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The two parts of a fold."""

    train: Samples
    valid: Samples


@dataclass(frozen=True, slots=True)
class Judged:
    """Answers for what a fold holds out: the deciding metric, every metric by its name in JSON, and
    the cross entropy."""

    score: float
    values: dict[str, float]
    loss: float


@dataclass(frozen=True, slots=True)
class Task:
    """Networks and what bounds them: each within the budget of every device."""

    space: Space
    constraints: tuple[Constraint, ...]

    def cost(self, arch: Architecture) -> NetworkCost:
        """The exact cost on the first device."""
        return self.constraints[0].network(self.space.topology(arch))

    def excess(self, arch: Architecture) -> float:
        """0 within every budget, by exact costs."""
        return exact_excess(self.constraints, self.space.topology(arch))

    def fits(self, arch: Architecture) -> bool:
        return self.excess(arch) == 0


@dataclass(frozen=True, eq=False)
class Ground:
    """The ``task`` and one network that fits; all training samples and the rows of their folds; how
    networks are trained and judged; ``weights`` (classes,) of every loss.

    ``folder`` is the RUN, ``supernet`` that of another search whose shared networks are used.
    """

    task: Task
    fits: Architecture
    samples: Samples
    rows: Callable[[int], Sequence[tuple[np.ndarray, np.ndarray]]]
    recipe: Recipe
    quantizer: Quantizer
    metric: str
    seed: int
    folder: Path
    supernet: Path | None = None
    weights: Tensor | None = None

    @property
    def space(self) -> Space:
        return self.task.space

    @property
    def source(self) -> Path:
        """Where shared networks lie, and what inputs scored."""
        return self.supernet or self.folder

    def splits(self, count: int) -> list[Split]:
        pairs = self.rows(count)
        return [Split(self.samples.rows(a), self.samples.rows(b)) for a, b in pairs]

    def trained(self, epochs: int) -> Recipe:
        """The recipe for so many epochs."""
        return replace(self.recipe, epochs=epochs)

    def judge(self, logits: Tensor, y: Tensor) -> Judged:
        """Logits (N, classes) for labels (N,)."""
        answers, names = logits.argmax(1).numpy(), numbered(logits.shape[1])
        scores = score_answers(y.numpy(), answers, names)
        decisive = float(METRICS[self.metric].of(scores))
        return Judged(decisive, metric_values(scores), float(cross_entropy(logits, y)))

    @cached_property
    def mark(self) -> str:
        """Of all that decides shared networks, but for their epochs and folds."""
        weights = None if self.weights is None else self.weights.tolist()
        parts = (self.space.spec, self.samples.digest, self.trained(0), weights, self.seed)
        return " ".join(map(repr, parts))


def generator_of(base: int, seed: int, place: int) -> torch.Generator:
    """The chance of one training among several of its kind."""
    return torch.Generator().manual_seed(base * (seed + 1) + place)
