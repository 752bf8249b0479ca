# SPDX-License-Identifier: Apache-2.0
"""What the network costs on a target, beside what was predicted and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.devices import Device
from tinytailor.cli.report_page.drawing import draw

if TYPE_CHECKING:
    from markupsafe import Markup

    from tinytailor.compiler.sections import Quantity


@dataclass(frozen=True, slots=True)
class CostRow:
    """A quantity; ``share`` of its limit, None without one."""

    title: str
    predicted: str
    emitted: str
    limit: str
    share: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Cost:
    """``known``: how the prediction was made."""

    known: str
    rows: tuple[CostRow, ...]


def cost(device: Device) -> Cost | None:
    """None for a project, whose numbers all stand in the answer and its details."""
    if device.predicted is None:
        return None
    estimated = device.predicted.get("estimated")
    known = f"estimated, {estimated['text']}" if estimated else "predicted from the table"
    return Cost(known, tuple(_row(device, device.predicted, q) for q in device.quantities))


def draw_cost(data: Cost) -> Markup:
    return draw("cost.html", cost=data)


def _row(device: Device, predicted: Mapping[str, Any], quantity: Quantity) -> CostRow:
    value, most = device.profile[quantity.key], device.budget.get(quantity.key)
    share = None if most is None or value is None else value / most
    return CostRow(
        quantity.title,
        quantity.text(predicted.get(quantity.key)),
        quantity.text(value),
        "" if most is None else quantity.text(most),
        share,
        "" if share is None else "ok" if share <= 1 else "OVER",
    )
