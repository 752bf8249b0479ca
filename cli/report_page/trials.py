# SPDX-License-Identifier: Apache-2.0
"""The networks that a search proposed, each judged by a training; the best was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import draw, percent
from tinytailor.nas.scores import metric_key

if TYPE_CHECKING:
    from markupsafe import Markup


ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class TrialCost:
    latency_ms: float
    ram_bytes: float
    flash_bytes: float


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A proposed network, and what it costs on each target; ``decisive``: the metric that decided,
    None where it is the accuracy."""

    number: int
    decisive: float | None
    accuracy: float
    loss: float
    costs: tuple[TrialCost, ...]
    chosen: bool


@dataclass(frozen=True, slots=True)
class Trials:
    """``metric``: what decided between them, on what was ``held`` out; ``targets`` of the costs."""

    algorithm: str
    held: str
    metric: str
    targets: tuple[str, ...]
    rows: tuple[TrialRow, ...]


def trials(report: Mapping[str, Any]) -> Trials | None:
    if not report.get("trials"):
        return None
    chosen = report.get("history", {}).get("chosen")
    metric = report.get("metric", ACCURACY)
    rows = tuple(_row(trial, chosen, metric) for trial in report["trials"])
    targets = tuple(device.target for device in devices(report)) if rows[0].costs else ()
    held = "held-out data of each fold" if report.get("front") else "the validation part"
    return Trials(report["algorithm"], held, metric, targets, rows)


def draw_trials(data: Trials) -> Markup:
    return draw("trials.html", trials=data, sentence=_sentence(data))


def _row(trial: Mapping[str, Any], chosen: int | None, metric: str) -> TrialRow:
    scores = trial.get("valid_scores", {})
    return TrialRow(
        trial["index"] + 1,
        None if metric == ACCURACY else scores.get(metric_key(metric)),
        trial["valid_accuracy"],
        trial["valid_loss"],
        tuple(
            TrialCost(cost["latency_ms"], cost["ram_bytes"], cost["flash_bytes"])
            for cost in trial.get("costs", ())
        ),
        trial["index"] == chosen,
    )


def _sentence(data: Trials) -> str:
    chosen = [row for row in data.rows if row.chosen]
    if not chosen:
        return f"{len(data.rows)} networks within the budget, proposed by {data.algorithm}."
    return (
        f"Of {len(data.rows)} networks within the budget, proposed by {data.algorithm}, number "
        f"{chosen[0].number} was best in {data.metric} on {data.held} after a training of its own; "
        f"its accuracy there was {percent(chosen[0].accuracy)}."
    )
