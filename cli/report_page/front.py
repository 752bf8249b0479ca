# SPDX-License-Identifier: Apache-2.0
"""The front: what each millisecond and byte of a budget buys, and where the chosen network lies.

Scores are of int8 under shared weights, on training data that was held out; they rank networks, and
are lower than those of networks that were trained on their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.chart import picked
from tinytailor.cli.report_page.drawing import draw, percent

if TYPE_CHECKING:
    from markupsafe import Markup

ROWS = 24


@dataclass(frozen=True, slots=True)
class FrontRow:
    """A network that no other beats in everything, or the chosen one; ``left`` and ``up``: where it
    is in the drawing, as shares of its sides."""

    score: float
    latency_ms: float
    ram_bytes: float
    flash_bytes: float
    chosen: bool
    left: float
    up: float


@dataclass(frozen=True, slots=True)
class Front:
    """On the first device; ``use``: of the binding limit, and the reason if that is little."""

    target: str
    rows: tuple[FrontRow, ...]
    use: str
    inputs: tuple[tuple[str, str, float, bool], ...]  # decision, option, score, whether it stays


def front(report: Mapping[str, Any]) -> Front | None:
    found = report.get("front")
    if not found:
        return None
    scores, times = ([one[key] for one in found] for key in ("score", "latency_ms"))
    rows = tuple(
        FrontRow(
            one["score"],
            one["latency_ms"],
            one["ram_bytes"],
            one["flash_bytes"],
            bool(one.get("chosen")),
            _share(one["latency_ms"], times),
            _share(one["score"], scores),
        )
        for one in found
    )
    inputs = tuple(
        (record["decision"], _text(option["option"]), option["score"], option["stays"])
        for record in report.get("inputs", ())
        for option in record["options"]
    )
    return Front(report["targets"][0]["name"], rows, _use(report.get("use", {})), inputs)


def draw_front(data: Front) -> Markup:
    kept = set(picked(len(data.rows), ROWS))
    shown = [row for place, row in enumerate(data.rows) if row.chosen or place in kept]
    return draw("front.html", front=data, rows=shown)


def _share(value: float, values: list[float]) -> float:
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 0.5


def _use(use: Mapping[str, Any]) -> str:
    if not use.get("limit"):
        return ""
    text = f"The chosen network uses {percent(use['share'])} of its {use['limit']}"
    return f"{text}: {use['reason']}." if use.get("reason") else f"{text}."


def _text(option: Any) -> str:
    return ", ".join(map(str, option)) if isinstance(option, list) else str(option)
