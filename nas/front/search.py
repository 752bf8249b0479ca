# SPDX-License-Identifier: Apache-2.0
"""The search with shared weights, from samples to one network and the front around it.

folds by group -> a shared network each -> NSGA-II and local search over int8 estimates and
exact costs -> the best few trained on their own -> one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tinytailor.nas.front.climb import climb
from tinytailor.nas.front.effort import FILE as EFFORT
from tinytailor.nas.front.effort import Effort, Pace, input_epochs, kept_effort, within
from tinytailor.nas.front.evaluate import Estimate, Evaluator, Fold, whole_lines
from tinytailor.nas.front.evolve import evolve
from tinytailor.nas.front.folds import SUPERNET, shared_networks, teacher_of
from tinytailor.nas.front.ground import Ground, Split, Task
from tinytailor.nas.front.inputs import FOLDER as INPUTS
from tinytailor.nas.front.inputs import chosen_inputs, input_decisions
from tinytailor.nas.front.select import FINALISTS, Finalist, candidates, finals
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.progress import OnProgress, Progress
from tinytailor.nas.search.feasible import feasible_network
from tinytailor.nas.spaces import Architecture
from tinytailor.nas.supernet.sandwich import train_shared
from tinytailor.nas.supernet.shared import SharedNetwork
from tinytailor.nas.training.checkpoint import epochs_done
from tinytailor.nas.training.train import Teacher, fit
from tinytailor.targets.errors import BudgetError, InputError
from tinytailor.targets.files import write_json

CANDIDATES = "candidates.jsonl"
PACED = 3  # batches that are timed


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Networks that were trained on their own, the best one first, all that were estimated, and a
    teacher; what each choice of the ``inputs`` scored."""

    finalists: tuple[Finalist, ...]
    known: dict[Architecture, Estimate]
    teacher: Teacher
    effort: Effort
    inputs: list[dict[str, Any]]


def search_front(
    ground: Ground, wanted: Effort, time_s: float | None, on_progress: OnProgress
) -> Found:
    """Run or go on; nothing that was finished before is done again."""
    if ground.supernet is not None and not (ground.supernet / SUPERNET).is_dir():
        raise InputError(
            f"{ground.supernet} holds no shared networks; name the folder of a search with some"
        )
    effort = counted(ground, wanted, time_s)
    splits = ground.splits(effort.folds)
    ground, records = with_inputs(ground, splits, effort, on_progress)

    def on_fold(fold: int, done: int, total: int, loss: float) -> None:
        stage = f"shared networks, fold {fold + 1} of {effort.folds}"
        on_progress(Progress(stage, done, total, f"loss {loss:.3f}"))

    folds = shared_networks(ground, splits, effort.supernet_epochs, on_fold)
    evaluate = Evaluator(ground, folds, ground.folder / CANDIDATES, told(effort, on_progress))
    explore(ground, evaluate, effort)
    picked = candidates(ground.task, evaluate.known, effort.finalists)

    def on_finalist(finalist: int, fold: int, done: int, total: int) -> None:
        stage = f"finalist {finalist + 1} of {len(picked)}, fold {fold + 1} of {effort.folds}"
        on_progress(Progress(stage, done, total))

    pairs = [(arch, evaluate.known[arch]) for arch in picked]
    ranked = finals(ground, splits, folds, effort.epochs, pairs, on_finalist)
    return Found(tuple(ranked), evaluate.known, teacher_of(folds), effort, records)


def with_inputs(
    ground: Ground, splits: Sequence[Split], effort: Effort, on_progress: OnProgress
) -> tuple[Ground, list[dict[str, Any]]]:
    """The same with the inputs that are worth reading: those of the shared networks."""

    def compared(done: int, total: int, what: str) -> None:
        on_progress(Progress("inputs compared", done, total, what))

    space, records = chosen_inputs(ground, splits, input_epochs(effort.epochs), compared)
    constraints = ground.task.constraints
    try:
        fits = feasible_network(space, constraints, ground.seed)
    except BudgetError:
        if ground.supernet is not None:
            raise
        return ground, records  # what was worth less is what fits
    return replace(ground, task=Task(space, constraints), fits=fits), records


def counted(ground: Ground, wanted: Effort, time_s: float | None) -> Effort:
    """The effort of this run: what it began with, or what fits the time, kept from now on."""
    known = kept_effort(ground.folder)
    if known is not None:
        return known
    if ground.supernet is not None and (theirs := kept_effort(ground.supernet)) is not None:
        wanted = replace(wanted, folds=theirs.folds, supernet_epochs=theirs.supernet_epochs)
    effort = wanted if time_s is None else within(time_s, wanted, paced(ground, wanted))
    write_json(ground.folder / EFFORT, effort.to_json())
    return effort


def paced(ground: Ground, wanted: Effort) -> Pace:
    """Seconds of everything, from a few batches."""
    recipe, space = ground.recipe, ground.space
    split = ground.splits(wanted.folds)[0]
    count = min(PACED * recipe.batch, len(split.train))
    few = split.train.rows(torch.arange(count).numpy())
    generator = torch.Generator().manual_seed(0)
    shared, once = SharedNetwork(space, generator), replace(recipe, epochs=1)
    sandwich = seconds(lambda: train_shared(shared, few, once, 0)) / count
    alone = FloatNetwork(space.topology(ground.fits), generator)
    step = seconds(lambda: fit(alone, few, once, generator)) / count
    fold = Fold.of(shared, split, 0)
    estimate = seconds(lambda: fold.int8(ground.fits, ground.quantizer))
    options = sum(len(one.options) for one in input_decisions(space, [split]))
    return Pace(
        sandwich * len(split.train), estimate * wanted.folds, step * len(ground.samples), options
    )


def seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def told(effort: Effort, on_progress: OnProgress) -> Callable[[int, Estimate], None]:
    """Progress of the estimates, with the best so far."""
    best = [0.0]

    def on_new(count: int, estimate: Estimate) -> None:
        best[0] = max(best[0], estimate.score)
        text = f"best so far {100 * best[0]:.2f} %"
        on_progress(Progress("networks estimated", count, effort.evaluations, text))

    return on_new


def explore(ground: Ground, evaluate: Evaluator, effort: Effort) -> None:
    """All evaluations of this run."""
    task, seed = ground.task, ground.seed
    evaluate(ground.fits)
    broad = max(effort.evaluations - effort.climbed - 1, 1)
    evolve(task, lambda arch: evaluate(arch).score, broad, seed)
    climb(task, evaluate.known, evaluate, effort.climbed, seed)


def front(task: Task, known: dict[Architecture, Estimate]) -> list[dict[str, Any]]:
    """Networks that no other beats in latency, RAM, flash and score at once, on the first device;
    the cheapest in time first."""
    priced = [(task.cost(arch), estimate, arch) for arch, estimate in known.items()]
    points = [
        (cost.latency_ms, cost.ram_bytes, cost.flash_bytes, -estimate.score)
        for cost, estimate, _ in priced
    ]
    best = [
        place
        for place, point in enumerate(points)
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points
        )
    ]
    return [
        {
            "architecture": arch.to_json(),
            "score": estimate.score,
            **asdict(cost),
        }
        for cost, estimate, arch in (
            priced[place] for place in sorted(best, key=points.__getitem__)
        )
    ]


def with_chosen(points: list[dict[str, Any]], chosen: dict[str, Any]) -> list[dict[str, Any]]:
    """The front with the chosen network marked, which by its estimate may lie behind it."""
    marked = [{**one, "chosen": one["architecture"] == chosen["architecture"]} for one in points]
    if not any(one["chosen"] for one in marked):
        marked.append({**chosen, "chosen": True})
    return sorted(marked, key=lambda one: float(one["latency_ms"]))


def kept_of_front(folder: Path) -> list[str]:
    """What a RUN folder holds of a search that was interrupted, in words."""
    parts = []
    for what, files in (
        ("epochs that compare inputs", (folder / INPUTS).glob("*.pt")),
        ("epochs of shared networks", (folder / SUPERNET).glob("*.pt")),
        ("epochs of finalists", (folder / FINALISTS).glob("*/*.pt")),
    ):
        if done := sum(map(epochs_done, files)):
            parts.append(f"{done} {what}")
    if (folder / CANDIDATES).exists():
        parts.append(f"{len(whole_lines(folder / CANDIDATES))} estimates")
    return parts or ["what was counted before training"]


def trial_of(finalist: Finalist, index: int) -> dict[str, Any]:
    """A finalist as reports have what was tried."""
    score = finalist.score
    return {
        "index": index,
        "architecture": finalist.architecture.to_json(),
        "valid_accuracy": finalist.values["accuracy"],
        "valid_scores": finalist.values,
        "valid_loss": score.loss,
        "folds": list(score.folds),
        "estimate": finalist.estimate.score,
        "parameters": {},
    }
