# SPDX-License-Identifier: Apache-2.0
"""Curves over epochs: the record that plots of the search share, and its drawing.

The curves are an SVG that is stretched to its box, with strokes that are not; every label is HTML
beside it. So a chart fills a screen of any width, and its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from tinytailor.cli.report_page.drawing import draw

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_POINTS = 240  # of a curve that is drawn; a screen shows no more
ROWS = 11  # of the table beside it


@dataclass(frozen=True, slots=True)
class Curve:
    """``values`` of epochs ``start`` + 1, + 2, ..."""

    name: str
    values: tuple[float, ...]
    start: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.values)


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves of one unit, from 0 up; ``limit`` is a line that they are to stay under."""

    title: str
    form: str  # of a value, as "{:.3f}"
    curves: tuple[Curve, ...]
    limit: float | None = None

    @property
    def epochs(self) -> int:
        return max(curve.end for curve in self.curves)


def draw_chart(chart: Chart) -> Markup:
    top = max(max(max(curve.values) for curve in chart.curves), chart.limit or 0.0) or 1.0
    levels = ticks(top, 4)
    if levels[-1] < top or chart.limit == top:
        levels.append(levels[-1] + levels[1])
    height = levels[-1]
    return draw(
        "chart.html",
        chart=chart,
        paths=[_path(curve, chart.epochs, height) for curve in chart.curves],
        levels=[(level / height, _short(level, chart.form)) for level in levels],
        epochs=[(epoch / chart.epochs, f"{epoch:g}") for epoch in ticks(chart.epochs, 4)],
        limit=None if chart.limit is None else round(100 - 100 * chart.limit / height, 2),
        summary=_summary(chart),
        table=_table(chart),
    )


def ticks(top: float, most: int) -> list[float]:
    """0 and round numbers up to ``top``, ``most`` steps of 1, 2 or 5 times a power of 10."""
    if top <= 0:
        return [0.0]
    power = 10.0 ** floor(log10(top / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if top / (power * factor) <= most)
    return [index * step for index in range(floor(top / step + 1e-9) + 1)]


def byte_ticks(top: int, most: int) -> list[int]:
    """The same in powers of two, for a memory of ``top`` bytes."""
    step = 1
    while top > most * step:
        step *= 2
    return list(range(0, top + 1, step))


def picked(count: int, most: int) -> list[int]:
    """At most ``most`` of the indices below ``count``, evenly, with the first and the last."""
    if count <= most:
        return list(range(count))
    return sorted({round(index * (count - 1) / (most - 1)) for index in range(most)})


def _path(curve: Curve, epochs: int, height: float) -> str:
    """Points of an SVG line in a box of 100 x 100, downwards."""
    points = [
        (100 * (curve.start + index + 1) / epochs, 100 - 100 * curve.values[index] / height)
        for index in picked(len(curve.values), MOST_POINTS)
    ]
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _short(value: float, form: str) -> str:
    """A level of the axis: as many digits as it has."""
    unit = form[form.index("}") + 1 :]
    return f"{value:g}{unit}"


def _summary(chart: Chart) -> str:
    """The curves in words."""
    parts = [
        f"{curve.name} from {chart.form.format(curve.values[0])} in epoch {curve.start + 1} to "
        f"{chart.form.format(curve.values[-1])} in epoch {curve.end}"
        for curve in chart.curves
    ]
    return f"{chart.title}: {'; '.join(parts)}"


def _table(chart: Chart) -> Sequence[tuple[str, str, str]]:
    """Curve, epoch and value, of some epochs."""
    return [
        (curve.name, str(curve.start + index + 1), chart.form.format(curve.values[index]))
        for curve in chart.curves
        for index in picked(len(curve.values), ROWS)
    ]
