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
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.front.evaluate import Estimate, Fold, simulated
from tinytailor.nas.front.folds import Split, teacher_of
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.quantization import Quantizer
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.scores import METRICS, numbered, score_answers
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.nas.training.train import cross_entropy, fit

FINALISTS = "finalists"
OnEpoch = Callable[[int, int, int, int], None]  # finalist, fold, epochs done, in all


@dataclass(frozen=True, slots=True)
class Finalist:
    """A network, its estimate under shared weights, and its score by trainings of its own."""

    architecture: Architecture
    estimate: Estimate
    score: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """What the trainings of finalists have in common."""

    space: Space
    splits: Sequence[Split]
    folds: Sequence[Fold]
    recipe: Recipe
    quantizer: Quantizer
    metric: str
    seed: int
    folder: Path
    weights: Tensor | None = None


def best_within(
    space: Space,
    known: dict[Architecture, Estimate],
    constraints: Sequence[Constraint],
    count: int,
) -> list[Architecture]:
    """The ``count`` of highest estimate within the budgets, the best one first."""
    fitting = [a for a in known if exact_excess(constraints, space.topology(a)) == 0]
    ranked = sorted(fitting, key=lambda arch: known[arch].rank, reverse=True)
    different = {space.topology(arch): arch for arch in reversed(ranked)}
    return list(reversed(different.values()))[:count]


def finals(
    trials: Trials,
    finalists: Sequence[tuple[Architecture, Estimate]],
    on_epoch: OnEpoch = lambda finalist, fold, done, total: None,
) -> list[Finalist]:
    """All of them trained and scored, the best one first; each is kept in the folder."""
    found = []
    for index, (arch, estimate) in enumerate(finalists):
        scores, losses = [], []
        for fold in range(len(trials.splits)):

            def told(done: int, total: int, index: int = index, fold: int = fold) -> None:
                on_epoch(index, fold, done, total)

            score, loss = _trained(trials, arch, fold, told)
            scores.append(score)
            losses.append(loss)
        own = Estimate(float(np.mean(scores)), float(np.mean(losses)), tuple(scores))
        found.append(Finalist(arch, estimate, own))
    return sorted(found, key=lambda one: one.score.rank, reverse=True)


def _trained(
    trials: Trials, arch: Architecture, place: int, on_epoch: Callable[[int, int], None]
) -> tuple[float, float]:
    """Score and loss on what the fold holds out."""
    split, fold = trials.splits[place], trials.folds[place]
    generator = torch.Generator().manual_seed(5_000_011 * (trials.seed + 1) + place)
    network = FloatNetwork(trials.space.topology(arch), generator)
    folder = trials.folder / name_of(arch)
    folder.mkdir(parents=True, exist_ok=True)
    fit(
        network,
        split.train,
        trials.recipe,
        generator,
        weights=trials.weights,
        teacher=teacher_of([fold]),
        checkpoint=folder / f"fold{place + 1}.pt",
        on_epoch=lambda done, total, loss: on_epoch(done, total),
    )
    logits = simulated(network, fold.learned, fold.x, trials.quantizer)
    names = numbered(logits.shape[1])
    scores = score_answers(fold.y.numpy(), logits.argmax(1).numpy(), names)
    metric = METRICS[trials.metric].of(scores)
    return float(metric), float(cross_entropy(logits, fold.y))


def name_of(arch: Architecture) -> str:
    """A short name for a folder."""
    text = json.dumps(arch.to_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
