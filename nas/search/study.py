# SPDX-License-Identifier: Apache-2.0
"""The study: several trials of a search algorithm, each judged by a short training.

What decides between them is one metric on the validation part.

The study lives in an Optuna journal in the RUN folder, which one process at a time works on. A
finished trial is never lost; one that was killed is marked as failed when the command runs again
and takes no part. What trial i tries depends on the seed, on i and on the finished trials before
it, not on how often the run was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.scores import METRICS, metric_key, metric_values
from tinytailor.nas.search import Algorithm, Problem, Proposal
from tinytailor.nas.spaces import Architecture
from tinytailor.nas.training.train import Score, fit, score
from tinytailor.targets.files import write_json

STUDY = "search"
OnStep = Callable[[int, str, int, int, float], None]  # trial, phase, done, total, figure


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """A network within the budget and its validation score after the short training: every metric
    by its name in JSON, and the loss."""

    index: int
    architecture: Architecture
    scores: dict[str, float]
    loss: float
    parameters: dict[str, float]

    @property
    def accuracy(self) -> float:
        return self.scores["accuracy"]

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "architecture": self.architecture.to_json(),
            "valid_accuracy": self.accuracy,
            "valid_scores": self.scores,
            "valid_loss": self.loss,
            "parameters": self.parameters,
        }


def run_study(
    problem: Problem,
    algorithm: Algorithm,
    *,
    trials: int,
    recipe: Recipe,
    metric: str,
    seed: int,
    folder: Path,
    on_step: OnStep,
) -> tuple[FinishedTrial, ...]:
    """Bring the study in ``folder`` to ``trials`` finished trials and return them in order.

    The caller holds `only_writer(folder)`: a trial that runs is one that a killed process left.
    """
    with quiet_optuna():
        study = open_study(folder / "study.journal")
        for index in range(len(finished(study)), trials):
            study.sampler = optuna.samplers.TPESampler(seed=1000 * seed + index, n_startup_trials=5)
            trial = study.ask()
            generator = torch.Generator().manual_seed(1_000_003 * (seed + 1) + index)

            def searching(done: int, total: int, figure: float, index: int = index) -> None:
                on_step(index, "search", done, total, figure)

            def training_step(done: int, total: int, figure: float, index: int = index) -> None:
                on_step(index, "short training", done, total, figure)

            proposal = algorithm(problem, trial, generator, searching)
            result = judge(problem, proposal, recipe, generator, training_step)
            _record(folder / "trials", index, proposal, result)
            trial.set_user_attr("architecture", json.dumps(proposal.architecture.to_json()))
            trial.set_user_attr("valid_loss", result.loss)
            trial.set_user_attr("valid_scores", metric_values(result.scores))
            study.tell(trial, METRICS[metric].of(result.scores))
        return tuple(
            FinishedTrial(
                index,
                Architecture.from_json(json.loads(trial.user_attrs["architecture"])),
                # A study begun before there were metrics has recorded accuracies alone.
                trial.user_attrs.get("valid_scores", {"accuracy": float(trial.value or 0.0)}),
                float(trial.user_attrs["valid_loss"]),
                dict(trial.params),
            )
            for index, trial in enumerate(finished(study)[:trials])
        )


def best_trial(trials: tuple[FinishedTrial, ...], metric: str) -> FinishedTrial:
    """Highest ``metric`` on the validation part, then lowest loss there, then the earliest."""
    key = metric_key(metric)
    return max(trials, key=lambda trial: (trial.scores[key], -trial.loss, -trial.index))


def judge(
    problem: Problem,
    proposal: Proposal,
    recipe: Recipe,
    generator: torch.Generator,
    on_epoch: Callable[[int, int, float], None],
) -> Score:
    """Validation score of the proposed network after a short training from scratch."""
    network = FloatNetwork(problem.space.topology(proposal.architecture), generator)
    weights = problem.weights
    fit(network, problem.train, recipe, generator, weights=weights, on_epoch=on_epoch)
    return score(network, problem.x_valid, problem.valid.y, weights=weights)


def open_study(path: Path) -> optuna.Study:
    """Create or continue; trials a killed process left behind are marked as failed."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(
        storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's own log lines would break the progress display."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _record(folder: Path, index: int, proposal: Proposal, result: Score) -> None:
    folder.mkdir(exist_ok=True)
    record = {
        "architecture": proposal.architecture.to_json(),
        "valid_accuracy": result.accuracy,
        "valid_scores": metric_values(result.scores),
        "valid_loss": result.loss,
        "history": list(proposal.history),
    }
    write_json(folder / f"{index:03d}.json", record)
