# SPDX-License-Identifier: Apache-2.0
"""The networks that a search proposed, each judged by a short training; the best was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import draw, percent

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class TrialCost:
    latency_ms: float
    ram_bytes: float
    flash_bytes: float


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A proposed network, and what it costs on each target."""

    number: int
    accuracy: float
    loss: float
    costs: tuple[TrialCost, ...]
    chosen: bool


@dataclass(frozen=True, slots=True)
class Trials:
    """``metric``: what decided between them, on the validation part; ``targets`` of the costs."""

    algorithm: str
    metric: str
    targets: tuple[str, ...]
    rows: tuple[TrialRow, ...]


def trials(report: Mapping[str, Any]) -> Trials | None:
    if not report.get("trials"):
        return None
    chosen = report.get("history", {}).get("chosen")
    rows = tuple(_row(trial, chosen) for trial in report["trials"])
    targets = tuple(device.target for device in devices(report)) if rows[0].costs else ()
    return Trials(report["algorithm"], report.get("metric", "accuracy"), targets, rows)


def draw_trials(data: Trials) -> Markup:
    return draw("trials.html", trials=data, sentence=_sentence(data))


def _row(trial: Mapping[str, Any], chosen: int | None) -> TrialRow:
    return TrialRow(
        trial["index"] + 1,
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
        f"{chosen[0].number} was best in {data.metric} on the validation part after a short "
        f"training; its accuracy there was {percent(chosen[0].accuracy)}."
    )
