# SPDX-License-Identifier: Apache-2.0
"""The final training: loss in float, then on integer grids, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.chart import Chart, Curve, draw_chart
from tinytailor.cli.report_page.drawing import draw

if TYPE_CHECKING:
    from markupsafe import Markup

STAGES = {"float_loss": "float", "quantized_loss": "int8"}


def training(report: Mapping[str, Any]) -> Chart | None:
    history, curves, start = report.get("history", {}), [], 0
    for key, name in STAGES.items():
        if losses := history.get(key):
            curves.append(Curve(name, tuple(losses), start))
            start += len(losses)
    return Chart("Training loss", "{:.3f}", tuple(curves)) if curves else None


def draw_training(data: Chart) -> Markup:
    last = data.curves[-1]
    sentence = f"After {data.epochs} epochs the loss is {data.form.format(last.values[-1])}."
    return draw("charts.html", sentence=sentence, charts=[draw_chart(data)])
