# SPDX-License-Identifier: Apache-2.0
"""Of the networks that scored best under shared weights, one: by trainings of their own.

The best few within the budget are trained by the full recipe on the training part of every fold,
each with the largest network of that fold as its teacher, and scored in int8 on what the fold holds
out. The best mean decides. Nothing here reads the test part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tinytailor.nas.front.evaluate import Estimate, Fold, simulated
from tinytailor.nas.front.folds import teacher_of
from tinytailor.nas.front.ground import Ground, Judged, Split, Task, generator_of
from tinytailor.nas.front.use import ENOUGH, use_of
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.spaces import Architecture
from tinytailor.nas.training.train import Progress, fit

FINALISTS = "finalists"
OnEpoch = Callable[[int, int, int, int], None]  # finalist, fold, epochs done, in all


@dataclass(frozen=True, slots=True)
class Finalist:
    """A network, its estimate under shared weights, and its score by trainings of its own;
    ``values``: every metric by its name in JSON, mean over folds."""

    architecture: Architecture
    estimate: Estimate
    score: Estimate
    values: dict[str, float]


def best_within(task: Task, known: dict[Architecture, Estimate]) -> list[Architecture]:
    """Different networks within the budgets, that of highest estimate first."""
    fitting = [arch for arch in known if task.fits(arch)]
    different: dict[Topology, Architecture] = {}
    for arch in sorted(fitting, key=lambda arch: known[arch].rank, reverse=True):
        different.setdefault(task.space.topology(arch), arch)
    return list(different.values())


def candidates(task: Task, known: dict[Architecture, Estimate], count: int) -> list[Architecture]:
    """The best few, one of several using most of the budget if any network does."""
    ranked = best_within(task, known)
    picked = ranked[:count]
    full = next((arch for arch in ranked if use_of(task, arch).share >= ENOUGH), None)
    if full is not None and full not in picked and count > 1:
        picked[-1] = full
    return picked


def finals(
    ground: Ground,
    splits: Sequence[Split],
    folds: Sequence[Fold],
    epochs: int,
    finalists: Sequence[tuple[Architecture, Estimate]],
    on_epoch: OnEpoch = lambda finalist, fold, done, total: None,
) -> list[Finalist]:
    """All of them trained and scored, the best one first; each is kept in the folder."""
    found = []
    for index, (arch, estimate) in enumerate(finalists):
        judged = []
        for place, (split, fold) in enumerate(zip(splits, folds, strict=True)):

            def told(done: int, total: int, loss: float, place: int = place) -> None:
                on_epoch(index, place, done, total)  # noqa: B023  # called in this round alone

            judged.append(_trained(ground, split, fold, epochs, arch, place, told))
        values = {key: fmean(one.values[key] for one in judged) for key in judged[0].values}
        found.append(Finalist(arch, estimate, Estimate.over(judged), values))
    return sorted(found, key=lambda one: one.score.rank, reverse=True)


def _trained(
    ground: Ground,
    split: Split,
    fold: Fold,
    epochs: int,
    arch: Architecture,
    place: int,
    on_epoch: Progress,
) -> Judged:
    """Of the int8 network for what the fold holds out."""
    generator = generator_of(5_000_011, ground.seed, place)
    network = FloatNetwork(ground.space.topology(arch), generator)
    folder = ground.folder / FINALISTS / name_of(arch)
    folder.mkdir(parents=True, exist_ok=True)
    fit(
        network,
        split.train,
        ground.trained(epochs),
        generator,
        weights=ground.weights,
        teacher=teacher_of([fold]),
        checkpoint=folder / f"fold{place + 1}.pt",
        on_epoch=on_epoch,
    )
    return ground.judge(simulated(network, fold.learned, fold.x, ground.quantizer), fold.y)


def name_of(arch: Architecture) -> str:
    """A short name for a folder."""
    text = json.dumps(arch.to_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
