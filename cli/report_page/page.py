# SPDX-License-Identifier: Apache-2.0
"""The page: its parts, in the order in which they are read.

A part is data of the report, or of each of its targets, and a drawing of it; where the report has
no such data the part is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tinytailor.cli.report_page.answer import answer, draw_answer
from tinytailor.cli.report_page.arena import arena, draw_arena
from tinytailor.cli.report_page.classes import class_results, draw_classes
from tinytailor.cli.report_page.cost import cost, draw_cost
from tinytailor.cli.report_page.details import details, draw_details
from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import draw
from tinytailor.cli.report_page.front import draw_front, front
from tinytailor.cli.report_page.layers import draw_layers, layer_costs
from tinytailor.cli.report_page.limits import draw_limits, limits
from tinytailor.cli.report_page.preprocessing import draw_preprocessing, preprocessing
from tinytailor.cli.report_page.provenance import draw_provenance, provenance
from tinytailor.cli.report_page.search_path import draw_search_path, search_path
from tinytailor.cli.report_page.training import draw_training, training
from tinytailor.cli.report_page.trials import draw_trials, trials

if TYPE_CHECKING:
    from markupsafe import Markup

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Part(Generic[D]):
    """``data`` of a report, or with ``each`` of one of its devices; None: there is none."""

    anchor: str
    title: str
    data: Callable[[Any], D | None]
    draw: Callable[[D], Markup]
    each: bool = False


PARTS: tuple[Part[Any], ...] = (
    Part("cost", "Cost", cost, draw_cost, each=True),
    Part("classes", "Class by class", class_results, draw_classes),
    Part("layers", "Time and memory, layer by layer", layer_costs, draw_layers, each=True),
    Part("arena", "Arena over time", arena, draw_arena, each=True),
    Part("front", "What a budget buys", front, draw_front),
    Part("trials", "Networks that were tried", trials, draw_trials),
    Part("path", "How the search came to it", search_path, draw_search_path),
    Part("training", "Training", training, draw_training),
    Part("preprocessing", "From real values to integers", preprocessing, draw_preprocessing),
    Part("details", "In detail", details, draw_details, each=True),
    Part("provenance", "How this came about", provenance, draw_provenance),
    Part("limits", "What this does not say", limits, draw_limits),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A part of one page; ``linked``: what the contents call it, "" if they name another."""

    anchor: str
    title: str
    linked: str
    body: Markup


def page(report: Mapping[str, Any]) -> str:
    """The report, or the manifest of a project, as an HTML page."""
    first = answer(report)
    return str(
        draw("page.html", title=first.title, answer=draw_answer(first), parts=list(drawn(report)))
    )


def drawn(report: Mapping[str, Any]) -> Iterator[Drawn]:
    targets = devices(report)
    for part in PARTS:
        subjects = targets if part.each else (report,)
        for index, subject in enumerate(subjects):
            data = part.data(subject)
            if data is None:
                continue
            several = part.each and len(targets) > 1
            title = f"{part.title}, {targets[index].target}" if several else part.title
            anchor = f"{part.anchor}-{index + 1}" if several else part.anchor
            yield Drawn(anchor, title, "" if index else part.title, part.draw(data))
