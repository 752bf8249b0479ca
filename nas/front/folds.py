# SPDX-License-Identifier: Apache-2.0
"""Shared networks for a data set: one for each fold, trained on what the fold does not hold out.

They depend on the data, the space, the recipe and the seed, and on no device and no budget: a run
for other boards or budgets takes them from the folder of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tinytailor.nas.front.evaluate import Fold
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.spaces import Space
from tinytailor.nas.supernet.sandwich import train_shared
from tinytailor.nas.supernet.shared import SharedNetwork
from tinytailor.nas.training.samples import Samples
from tinytailor.nas.training.train import Teacher

SUPERNET = "supernet"  # the folder of their checkpoints
OnEpoch = Callable[[int, int, int, float], None]  # fold, epochs done, in all, loss


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The two parts of a fold."""

    train: Samples
    valid: Samples


def train_folds(
    space: Space,
    splits: Sequence[Split],
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    weights: Tensor | None = None,
    on_epoch: OnEpoch = lambda fold, done, total, loss: None,
) -> list[Fold]:
    """All folds, from ``folder`` as far as they are there."""
    folder.mkdir(exist_ok=True)
    folds = []
    for place, split in enumerate(splits):
        own = 1_000_003 * (seed + 1) + place
        shared = SharedNetwork(space, torch.Generator().manual_seed(own))

        def told(done: int, total: int, loss: float, place: int = place) -> None:
            on_epoch(place, done, total, loss)

        train_shared(
            shared,
            split.train,
            recipe,
            own,
            weights=weights,
            checkpoint=folder / f"fold{place + 1}.pt",
            on_epoch=told,
        )
        folds.append(Fold.of(shared, split.train, split.valid, own))
    return folds


def teacher_of(folds: Sequence[Fold]) -> Teacher:
    """The largest network of every fold, the mean of their logits."""
    networks = [largest(fold) for fold in folds]

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([network(x) for network in networks]).mean(0)

    return answer


def largest(fold: Fold) -> FloatNetwork:
    return fold.shared.network(fold.shared.space.largest(), fold.learned)
