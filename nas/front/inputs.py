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
from typing import Any

import numpy as np

from tinytailor.nas.front.ground import Ground, Split, generator_of
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.spaces import Architecture, Decision, Option, Space, architecture
from tinytailor.nas.training.train import answers, fit
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import read_json, write_json

FILE, FOLDER = "inputs.json", "inputs"
PREFIX = "input."
TOLERANCE = 0.005  # of the metric
OnTraining = Callable[[int, int, str], None]  # trainings done, in all, what


def input_decisions(space: Space, splits: Sequence[Split]) -> list[Decision]:
    """Those that change anything for these data."""
    front = splits[0].train.front
    plain = front is not None and not front.heavy.any()
    found = [d for d in space.decisions if d.name.startswith(PREFIX) and len(d.options) > 1]
    return [d for d in found if not (plain and d.name == f"{PREFIX}companding")]


def chosen_inputs(
    ground: Ground, splits: Sequence[Split], epochs: int, on_training: OnTraining
) -> tuple[Space, list[dict[str, Any]]]:
    """The space with the options that stay, and what each option scored: here, or in the search
    whose shared networks are used."""
    path, space = ground.source / FILE, ground.space
    decisions = input_decisions(space, splits)
    if path.exists():
        kept = read_json(path)
        if kept["mark"] != ground.mark:
            raise InputError(
                f"{path} is of a search for other data, another space, recipe or seed; name the "
                "folder of one for these, or leave --supernet out"
            )
        records = list(kept["decisions"])
    elif ground.supernet is not None:
        raise InputError(f"{path} is not there; finish the search that it belongs to")
    else:
        records = judged(ground, splits, epochs, decisions, on_training)
        write_json(path, {"mark": ground.mark, "decisions": records})
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
    ground: Ground,
    splits: Sequence[Split],
    epochs: int,
    decisions: Sequence[Decision],
    on_training: OnTraining,
) -> list[dict[str, Any]]:
    """Decision by decision, the best option of the ones before being taken."""
    space, records = ground.space, []
    choice: dict[str, Option] = {d.name: d.options[len(d.options) // 2] for d in space.decisions}
    choice |= {d.name: d.options[-1] for d in space.decisions if d.name.startswith(PREFIX)}
    total = sum(len(d.options) for d in decisions) * len(splits)
    done = 0
    for decision in decisions:
        scores: list[tuple[float, ...]] = []
        for option in decision.options:
            arch = architecture(space, {**choice, decision.name: option})
            folds = []
            for place, split in enumerate(splits):
                name = f"{decision.name}-{len(scores)}-fold{place + 1}"
                folds.append(_trained(ground, split, epochs, arch, place, name))
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


def _trained(
    ground: Ground, split: Split, epochs: int, arch: Architecture, place: int, name: str
) -> float:
    """The metric on what the fold holds out."""
    generator = generator_of(7_000_003, ground.seed, place)
    network = FloatNetwork(ground.space.topology(arch), generator)
    folder = ground.folder / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.pt"
    recipe = ground.trained(epochs)
    fit(network, split.train, recipe, generator, weights=ground.weights, checkpoint=path)
    return ground.judge(answers(network, split.valid.inputs()), split.valid.y).score
