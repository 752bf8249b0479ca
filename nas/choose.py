# SPDX-License-Identifier: Apache-2.0
"""Which network is trained: that of the best finalist, or of the best trial."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.nas.data import Dataset
from tinytailor.nas.front.effort import Effort, default_effort
from tinytailor.nas.front.ground import Ground, Task
from tinytailor.nas.front.search import front, search_front, trial_of, with_chosen
from tinytailor.nas.front.use import reason, use_of
from tinytailor.nas.prepare import Prepared
from tinytailor.nas.progress import OnProgress, Progress
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.recipes import Recipe, load_recipe
from tinytailor.nas.search import ALGORITHMS, Problem
from tinytailor.nas.search.history import costs_of, trial_records
from tinytailor.nas.search.study import FinishedTrial, best_trial, run_study
from tinytailor.nas.settings import SUPERNET, SearchSettings
from tinytailor.nas.spaces import Architecture
from tinytailor.nas.training.class_weights import class_weights
from tinytailor.nas.training.samples import training_samples
from tinytailor.nas.training.train import Teacher


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The network of a search, and how it is trained: ``trials`` are those that it was chosen from,
    number ``index`` of them; ``front``: see front.search."""

    architecture: Architecture
    index: int
    valid_accuracy: float
    trials: list[dict[str, Any]]
    recipe: Recipe
    teacher: Teacher | None = None
    front: list[dict[str, Any]] = field(default_factory=list)
    effort: dict[str, Any] = field(default_factory=dict)
    use: dict[str, Any] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)


def choose(
    settings: SearchSettings, ready: Prepared, folder: Path, on_progress: OnProgress
) -> Chosen:
    """By shared networks, or by an algorithm that proposes one network a trial."""
    recipe = recipe_of(settings, ready.dataset)
    if settings.algorithm != SUPERNET:
        trials = _study(settings, ready, recipe, folder, on_progress)
        best = best_trial(trials, settings.metric)
        records = trial_records(trials, ready.space, ready.costs)
        return Chosen(best.architecture, best.index, best.accuracy, records, recipe)
    return by_front(settings, ready, recipe, folder, on_progress)


def by_front(
    settings: SearchSettings,
    ready: Prepared,
    recipe: Recipe,
    folder: Path,
    on_progress: OnProgress,
) -> Chosen:
    """The best finalist, and the front around it."""
    ground = ground_of(settings, ready, recipe, folder)
    given = {one.name: getattr(settings, one.name) for one in fields(Effort)}
    wanted = default_effort(ready.dataset, recipe, given)
    found = search_front(ground, wanted, settings.time_s, on_progress)
    records = [
        {**trial_of(one, place), "costs": costs_of(one.architecture, ready.space, ready.costs)}
        for place, one in enumerate(found.finalists)
    ]
    best, first = found.finalists[0], records[0]
    point = {
        "architecture": first["architecture"],
        "score": best.estimate.score,
        **first["costs"][0],
    }
    trained = [(one.architecture, one.score) for one in found.finalists]
    why = reason(ground.task, trained[0], trained)
    return Chosen(
        best.architecture,
        0,
        first["valid_accuracy"],
        records,
        replace(recipe, epochs=found.effort.epochs),
        found.teacher,
        with_chosen(front(ground.task, found.known), point),
        found.effort.to_json(),
        use_of(ground.task, best.architecture).to_json(why),
        found.inputs,
    )


def recipe_of(settings: SearchSettings, dataset: Dataset) -> Recipe:
    """The recipe of the data or of the settings, for as many samples as there are."""
    recipe = load_recipe(settings.recipe or dataset.signal.kind)
    count = len(dataset.y_train) + len(dataset.y_valid)
    return recipe.fitted(count, settings.epochs, settings.batch)


def ground_of(settings: SearchSettings, ready: Prepared, recipe: Recipe, folder: Path) -> Ground:
    dataset = ready.dataset
    samples = training_samples(dataset, ready.space.input_shape, ready.space.sampled)
    return Ground(
        task=Task(ready.space, ready.constraints),
        fits=ready.fits,
        samples=samples,
        rows=lambda count: dataset.folds(count, settings.seed),
        recipe=recipe,
        quantizer=QUANTIZERS[settings.quantizer],
        metric=settings.metric,
        seed=settings.seed,
        folder=folder,
        supernet=None if settings.supernet is None else Path(settings.supernet),
        weights=class_weights(settings.class_weights, samples.y.numpy(), dataset.classes),
    )


def _study(
    settings: SearchSettings,
    ready: Prepared,
    recipe: Recipe,
    folder: Path,
    on_progress: OnProgress,
) -> tuple[FinishedTrial, ...]:
    dataset = ready.dataset
    samples = training_samples(dataset, ready.space.input_shape, ready.space.sampled)
    count = len(dataset.y_train)
    problem = Problem(
        ready.space,
        ready.constraints,
        ready.fits,
        samples.rows(np.arange(count)),
        samples.rows(np.arange(count, len(samples))),
        settings.search_epochs,
        recipe.batch,
        class_weights(settings.class_weights, dataset.y_train, dataset.classes),
    )

    def report(index: int, phase: str, done: int, total: int, figure: float) -> None:
        stage = f"trial {index + 1}/{settings.trials}: {phase}"
        on_progress(Progress(stage, done, total, f"{figure:.3f}"))

    return run_study(
        problem,
        ALGORITHMS[settings.algorithm],
        trials=settings.trials,
        recipe=replace(recipe, epochs=settings.trial_epochs),
        metric=settings.metric,
        seed=settings.seed,
        folder=folder,
        on_step=report,
    )
