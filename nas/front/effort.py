# SPDX-License-Identifier: Apache-2.0
"""How much is tried, in counts: the same counts give the same result.

A time budget is turned into counts once, before anything is trained, by timing a few steps; they
are kept in RUN/effort.json, and a run that goes on, or is repeated in its folder, uses those.

    time = options x folds x epochs / 3 x (one epoch)          inputs
         + folds x epochs x steps x (one sandwich)             shared networks
         + evaluations x folds x (one estimate)
         + finalists x folds x epochs x steps x (one step)     and the final training

Epochs of the shared networks and evaluations shrink or grow together, within bounds; then finalists
are given up, down to one, and at last folds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.nas.data.dataset import Dataset
from tinytailor.nas.recipes import Recipe
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import read_json

FILE = "effort.json"
FOLDS = 3
SHARE = 0.85  # of the time, for what is counted; the rest is measuring, compiling and checking
MOST_TIMES = 4.0  # of the default effort that a long time is worth
LEAST_EVALUATIONS = 12


@dataclass(frozen=True, slots=True)
class Effort:
    """``supernet_epochs`` of each fold's shared network, ``evaluations`` of networks under them, of
    which a third near the best; ``finalists`` trained on their own, by ``epochs``."""

    folds: int = FOLDS
    supernet_epochs: int = 32
    evaluations: int = 180
    finalists: int = 3
    epochs: int = 32

    @property
    def climbed(self) -> int:
        """Evaluations of the local search."""
        return self.evaluations // 3

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of one epoch of a shared network of one fold, of one estimate on all folds, and of
    one epoch of a network alone on all training samples; ``options`` of inputs are compared."""

    supernet_epoch: float
    estimate: float
    epoch: float
    options: int = 0

    def seconds(self, effort: Effort) -> float:
        alone = self.epoch * effort.epochs
        share = (effort.folds - 1) / effort.folds if effort.folds > 1 else 1.0
        inputs = self.options * effort.folds * share * self.epoch * input_epochs(effort.epochs)
        return (
            inputs
            + effort.folds * effort.supernet_epochs * self.supernet_epoch
            + effort.evaluations * self.estimate
            + effort.finalists * effort.folds * share * alone
            + alone
        )


def input_epochs(epochs: int) -> int:
    """Of the trainings that compare inputs, of so many of a whole one."""
    return max(1, epochs // 3)


def within(time_s: float, wanted: Effort, pace: Pace) -> Effort:
    """``wanted``, shrunk or grown to the time; InputError if not one epoch fits."""
    counted = SHARE * time_s
    for effort in smaller(wanted):
        scale = MOST_TIMES
        while scale > 1 / effort.supernet_epochs:
            scaled = replace(
                effort,
                supernet_epochs=max(1, round(scale * effort.supernet_epochs)),
                evaluations=max(LEAST_EVALUATIONS, round(scale * effort.evaluations)),
                epochs=max(1, round(min(scale, 1.0) * effort.epochs)),
            )
            if pace.seconds(scaled) <= counted and (scale >= 0.5 or effort.finalists == 1):
                return scaled
            scale *= 0.9
    least = replace(wanted, folds=1, supernet_epochs=1, evaluations=1, finalists=1, epochs=1)
    raise InputError(
        f"--time {time_s:g}s is too short: on this machine one epoch of the shared networks, one "
        f"estimate and one epoch of the final training take about {pace.seconds(least):.1f} s, of "
        f"{counted:.1f} s that are left for training; give at least "
        f"{pace.seconds(least) / SHARE:.0f}s"
    )


def smaller(wanted: Effort) -> list[Effort]:
    """Less and less: first finalists go, then folds."""
    fewer = [replace(wanted, finalists=count) for count in range(wanted.finalists, 0, -1)]
    return fewer + [replace(fewer[-1], folds=count) for count in range(wanted.folds - 1, 0, -1)]


def kept_effort(folder: Path) -> Effort | None:
    """What a run of this folder has begun with."""
    path = folder / FILE
    return Effort(**read_json(path)) if path.exists() else None


def default_effort(dataset: Dataset, recipe: Recipe, given: dict[str, Any]) -> Effort:
    """As much as the recipe trains, but for what is ``given``; folds as far as groups allow."""
    groups = dataset.training_rows().groups
    folds = FOLDS if groups is None else min(FOLDS, len(np.unique(groups)))
    own = {"folds": folds, "supernet_epochs": recipe.epochs, "epochs": recipe.epochs}
    return Effort(**{**own, **{name: value for name, value in given.items() if value is not None}})
