# SPDX-License-Identifier: Apache-2.0
"""What a report shows of how a search went, from the files of a RUN folder.

chosen            index of the trial whose network was trained
valid_accuracy    of that trial, epoch by epoch, where its algorithm has epochs
expected          of each device: what the trial expected to cost, epoch by epoch
float_loss,
quantized_loss    of the final training, epoch by epoch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinytailor.nas.cost import Costs
from tinytailor.nas.search.study import FinishedTrial
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.targets.files import read_json

DIGITS = 6  # more than a plot can show


def run_history(folder: Path, chosen: int) -> dict[str, Any]:
    """See above, of the RUN ``folder`` whose trial ``chosen`` was trained."""
    trial = folder / "trials" / f"{chosen:03d}.json"
    epochs = read_json(trial)["history"] if trial.exists() else []
    losses = read_json(folder / "history.json")
    found: dict[str, Any] = {name: _rounded(values) for name, values in losses.items()}
    found["chosen"] = chosen
    if epochs and "valid_accuracy" in epochs[0]:
        found["valid_accuracy"] = _rounded([epoch["valid_accuracy"] for epoch in epochs])
        devices = zip(*(epoch["expected"] for epoch in epochs), strict=True)
        found["expected"] = [
            {key: _rounded([epoch[key] for epoch in of_one]) for key in of_one[0]}
            for of_one in devices
        ]
    return found


def trial_records(
    trials: Sequence[FinishedTrial], space: Space, costs: Sequence[Costs]
) -> list[dict[str, Any]]:
    """The trials, and what each network costs by each of ``costs``, exactly."""
    return [
        {**trial.to_json(), "costs": costs_of(trial.architecture, space, costs)} for trial in trials
    ]


def costs_of(arch: Architecture, space: Space, costs: Sequence[Costs]) -> list[dict[str, Any]]:
    """What a network costs by each of ``costs``, exactly."""
    topology = space.topology(arch)
    return [asdict(one.network(topology)) for one in costs]


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
