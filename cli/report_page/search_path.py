# SPDX-License-Identifier: Apache-2.0
"""How the trial that was chosen came to its network: what it expected to cost, epoch by epoch.

A differentiable search holds all networks at once and prices their mixture; what it expects begins
anywhere and is to end within the budget. A search that has no such epochs has no such plot. RAM is
left out: its expectation cannot know which maps will lie over each other, and only guides a search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.chart import Chart, Curve, draw_chart
from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import draw, listed

if TYPE_CHECKING:
    from markupsafe import Markup

LIMITED = {"latency_ms": "latency", "flash_bytes": "flash", "energy_uj": "energy"}


@dataclass(frozen=True, slots=True)
class SearchPath:
    """Expected cost in per cent of each limit, and accuracy on the validation part."""

    expected: Chart | None
    accuracy: Chart | None


def search_path(report: Mapping[str, Any]) -> SearchPath | None:
    history, targets = report.get("history", {}), devices(report)
    shares = tuple(
        Curve(
            f"{name} on {device.target}" if len(targets) > 1 else name,
            tuple(100 * value / device.budget[key] for value in expected[key]),
        )
        for device, expected in zip(targets, history.get("expected", ()), strict=False)
        for key, name in LIMITED.items()
        if key in expected and key in device.budget
    )
    accuracy = history.get("valid_accuracy")
    found = SearchPath(
        Chart("Expected cost, % of the budget", "{:.1f} %", shares, 100.0) if shares else None,
        Chart("Accuracy on the validation part", "{:.1f} %", (_percent(accuracy),))
        if accuracy
        else None,
    )
    return found if found.expected or found.accuracy else None


def draw_search_path(data: SearchPath) -> Markup:
    charts = [draw_chart(chart) for chart in (data.expected, data.accuracy) if chart]
    return draw("charts.html", sentence=_sentence(data), charts=charts)


def _percent(values: list[float]) -> Curve:
    return Curve("of the mixture", tuple(100 * value for value in values))


def _sentence(data: SearchPath) -> str:
    before = "The trial that was chosen, before its network was drawn and trained alone"
    if data.expected is None:
        return f"{before}."
    ends = [f"{curve.values[-1]:.0f} % in {curve.name}" for curve in data.expected.curves]
    return f"{before}: of its budget it expected to use {listed(ends)} at its end."
