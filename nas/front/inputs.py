# SPDX-License-Identifier: Apache-2.0
"""What a network reads, decided before shared networks are trained: by trainings of its own.

Decisions called input.* change what every later weight sees, so networks that read different things
teach shared weights little. Decision by decision, each option is given to one middling network,
which is trained on every fold for a part of the epochs and scored on what the fold holds out. Those
within TOLERANCE of the best stay in the space, which the shared networks and all that follows then
search. What came of it is in RUN/inputs.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinytailor.nas.front.effort import input_epochs
from tinytailor.nas.front.folds import Split
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.scores import METRICS
from tinytailor.nas.spaces import Architecture, Decision, Option, Space, architecture
from tinytailor.nas.training.train import fit, score
from tinytailor.targets.files import read_json, write_json

FILE, FOLDER = "inputs.json", "inputs"
PREFIX = "input."
TOLERANCE = 0.005  # of the metric
OnTraining = Callable[[int, int, str], None]  # trainings done, in all, what


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """How options are compared: see above; ``folder`` is the RUN."""

    space: Space
    splits: Sequence[Split]
    recipe: Recipe
    metric: str
    seed: int
    folder: Path
    weights: torch.Tensor | None = None


def input_decisions(space: Space, splits: Sequence[Split]) -> list[Decision]:
    """Those that change anything for these data."""
    front = splits[0].train.front
    plain = front is not None and not front.heavy.any()
    found = [d for d in space.decisions if d.name.startswith(PREFIX) and len(d.options) > 1]
    return [d for d in found if not (plain and d.name == f"{PREFIX}companding")]


def chosen_inputs(inputs: Inputs, on_training: OnTraining) -> tuple[Space, list[dict[str, Any]]]:
    """The space with the options that stay, and what each option scored."""
    path, space = inputs.folder / FILE, inputs.space
    decisions = input_decisions(space, inputs.splits)
    if path.exists():
        records = list(read_json(path)["decisions"])
    else:
        records = judged(inputs, decisions, on_training)
        write_json(path, {"decisions": records})
    stay: dict[str, tuple[Option, ...]] = {
        d.name: (d.options[-1],) for d in space.decisions if d.name.startswith(PREFIX)
    }
    for decision, record in zip(decisions, records, strict=True):
        stay[decision.name] = tuple(
            option
            for option, one in zip(decision.options, record["options"], strict=True)
            if one["stays"]
        )
    return space.narrowed(stay), records


def judged(
    inputs: Inputs, decisions: Sequence[Decision], on_training: OnTraining
) -> list[dict[str, Any]]:
    """Decision by decision, the best option of the ones before being taken."""
    space, records = inputs.space, []
    choice: dict[str, Option] = {d.name: d.options[len(d.options) // 2] for d in space.decisions}
    choice |= {d.name: d.options[-1] for d in space.decisions if d.name.startswith(PREFIX)}
    total = sum(len(d.options) for d in decisions) * len(inputs.splits)
    done = 0
    for decision in decisions:
        scores: list[tuple[float, ...]] = []
        for option in decision.options:
            arch = architecture(space, {**choice, decision.name: option})
            folds = []
            for place in range(len(inputs.splits)):
                folds.append(_trained(inputs, arch, place, f"{decision.name}-{len(scores)}"))
                done += 1
                on_training(done, total, f"{decision.name}: {100 * folds[-1]:.2f} %")
            scores.append(tuple(folds))
        means = [float(np.mean(one)) for one in scores]
        choice[decision.name] = decision.options[int(np.argmax(means))]
        options = [
            {
                "option": list(option) if isinstance(option, tuple) else option,
                "score": mean,
                "folds": list(folds),
                "stays": mean >= max(means) - TOLERANCE,
            }
            for option, mean, folds in zip(decision.options, means, scores, strict=True)
        ]
        records.append({"decision": decision.name, "options": options})
    return records


def _trained(inputs: Inputs, arch: Architecture, place: int, name: str) -> float:
    """The metric on what the fold holds out."""
    split = inputs.splits[place]
    generator = torch.Generator().manual_seed(7_000_003 * (inputs.seed + 1) + place)
    network = FloatNetwork(inputs.space.topology(arch), generator)
    folder = inputs.folder / FOLDER
    folder.mkdir(exist_ok=True)
    fit(
        network,
        split.train,
        replace(inputs.recipe, epochs=input_epochs(inputs.recipe.epochs)),
        generator,
        weights=inputs.weights,
        checkpoint=folder / f"{name}-fold{place + 1}.pt",
    )
    found = score(network, split.valid.inputs(), split.valid.y)
    return float(METRICS[inputs.metric].of(found.scores))
