# SPDX-License-Identifier: Apache-2.0
"""The front of a search as tables: what each millisecond and byte costs in accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytailor.compiler.sections import Section

MOST_ROWS = 14


def front_sections(report: dict[str, Any]) -> list[Section]:
    """The sweep over budgets and the front of one, as far as the report has them."""
    from tinytailor.compiler.sections import Section

    found = []
    if sweep := report.get("sweep"):
        columns = ("budget", "int8 accuracy", "latency", "RAM B", "flash B", "run")
        found.append(Section("Budgets from the same shared networks", columns, map_rows(sweep)))
    if front := report.get("front"):
        metric = report["metric"].replace("-", " ")
        title = (
            f"Front on {report['targets'][0]['name']}: {metric} in int8 under shared weights, on "
            "held-out training data"
        )
        rows = [_front_row(one) for one in thinned(front)]
        found.append(Section(title, ("", "score", "latency", "RAM B", "flash B"), rows))
    return found


def map_rows(sweep: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            f"{one['budget']['latency_ms']:g} ms" if one["budget"].get("latency_ms") else "none",
            f"{100 * one['accuracy']['integer']:.2f} %",
            f"{one['latency_ms']:.3f} ms",
            f"{one['ram_bytes']}",
            f"{one['flash_bytes']}",
            one["run"],
        )
        for one in sweep
    ]


def thinned(front: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chosen point and others evenly."""
    step = max(1, -(-len(front) // MOST_ROWS))
    return [one for place, one in enumerate(front) if one.get("chosen") or place % step == 0]


def _front_row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        "chosen" if one.get("chosen") else "",
        f"{100 * one['score']:.2f} %",
        f"{one['latency_ms']:.3f} ms",
        f"{one['ram_bytes']:.0f}",
        f"{one['flash_bytes']:.0f}",
    )
