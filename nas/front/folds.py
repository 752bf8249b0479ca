# SPDX-License-Identifier: Apache-2.0
"""Shared networks for a data set: one for each fold, trained on what the fold does not hold out.

They depend on the data, the space, the recipe and the seed, and on no device and no budget: a run
for other boards or budgets takes them from the folder of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tinytailor.nas.front.evaluate import Fold
from tinytailor.nas.front.ground import Ground, Split
from tinytailor.nas.supernet.sandwich import train_shared
from tinytailor.nas.supernet.shared import SharedNetwork
from tinytailor.nas.training.checkpoint import epochs_done
from tinytailor.nas.training.train import Teacher
from tinytailor.targets.errors import InputError

SUPERNET = "supernet"  # the folder of their checkpoints
OnEpoch = Callable[[int, int, int, float], None]  # fold, epochs done, in all, loss


def shared_networks(
    ground: Ground,
    splits: Sequence[Split],
    epochs: int,
    on_epoch: OnEpoch = lambda fold, done, total, loss: None,
) -> list[Fold]:
    """All folds, from their folder as far as they are there; of another search whole or not at
    all."""
    folder = ground.source / SUPERNET
    if ground.supernet is None:
        folder.mkdir(exist_ok=True)
    folds = []
    for place, split in enumerate(splits):
        path = folder / f"fold{place + 1}.pt"
        if ground.supernet is not None and epochs_done(path) != epochs:
            raise InputError(
                f"{path} holds {epochs_done(path)} of {epochs} epochs of a shared network; finish "
                "the search that it belongs to"
            )
        seed = 1_000_003 * (ground.seed + 1) + place
        shared = SharedNetwork(ground.space, torch.Generator().manual_seed(seed))

        def told(done: int, total: int, loss: float, place: int = place) -> None:
            on_epoch(place, done, total, loss)

        train_shared(
            shared,
            split.train,
            ground.trained(epochs),
            seed,
            weights=ground.weights,
            checkpoint=path,
            mark=ground.mark,
            on_epoch=told,
        )
        folds.append(Fold.of(shared, split, seed))
    return folds


def teacher_of(folds: Sequence[Fold]) -> Teacher:
    """The largest network of every fold, the mean of their logits."""
    networks = [fold.shared.network(fold.shared.space.largest(), fold.learned) for fold in folds]

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([network(x) for network in networks]).mean(0)

    return answer
