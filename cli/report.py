# SPDX-License-Identifier: Apache-2.0
"""tinytailor report: what a search or a compiled project came to, from its files.

A report is plain data (report.json, or a project's manifest.json). The back end of the target turns
it into tables of text, which are drawn on a terminal or written as Markdown; ``report_page`` makes
a page for a browser of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.front import front_sections
from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command
from tinytailor.cli.scores import (
    choice_section,
    class_section,
    confusion_section,
    metric_cells,
    metric_titles,
)
from tinytailor.cli.tables import draw_table
from tinytailor.targets import board_on
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_text

if TYPE_CHECKING:
    from tinytailor.compiler.sections import Quantity, Section

REPORT = "report.json"
MARKDOWN = "report.md"
PAGE = "report.html"
SETTINGS = "settings.json"
SEARCH = "search"


@command
def run(
    folder: Annotated[Path, typer.Argument(help="RUN folder of a search, or a compiled project.")],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write it to this file instead, as one page for a browser."),
    ] = None,
    as_json: Json = False,
) -> Result:
    """Print the report of a search or of a compiled project again, from its files."""
    report = read_report(folder)
    if html is not None:
        write_page(folder, report, html)
        return Result(report, lambda console: console.print(f"{html}: {html.stat().st_size} B"))
    with complete(folder):
        parts = sections(report)
    return Result(report, lambda console: draw(console, parts))


def write_page(folder: Path, report: dict[str, Any], html: Path) -> None:
    """The report in ``folder`` as an HTML page."""
    from tinytailor.cli.report_page import page

    if html.is_dir() or not html.parent.is_dir():
        raise InputError(f"--html {html}: expected a file in a folder that exists")
    with complete(folder):
        text = page(report)
    write_text(html, text)


@contextmanager
def complete(folder: Path) -> Iterator[None]:
    """InputError where the report in ``folder`` lacks something, or holds what it cannot mean."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the report in {folder} is not complete ({error!r}); run what wrote it again"
        ) from None


def read_report(folder: Path) -> dict[str, Any]:
    """report.json of a RUN folder, or the manifest of a project."""
    from tinytailor.compiler.project import read_manifest

    path = folder / REPORT
    if not path.exists():
        if (folder / SETTINGS).exists():
            raise InputError(f"{folder} holds a search that is not finished; run it again to go on")
        return read_manifest(folder)
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    if not isinstance(report, dict) or report.get("kind") != SEARCH:
        raise InputError(f"{path} is not a report of tinytailor search")
    return report


def sections(report: dict[str, Any]) -> list[Section]:
    """The tables of a report, most important first."""
    from tinytailor.compiler.backend import backend_for

    if report["kind"] == SEARCH:
        return _search_sections(report)
    return backend_for(report["kind"]).sections(report)


def _search_sections(report: dict[str, Any]) -> list[Section]:
    from tinytailor.compiler.backend import backend_for
    from tinytailor.compiler.sections import Section

    costs, details = [], []
    for one in report["targets"]:
        backend = backend_for(one["profile"]["kind"])
        costs.append(cost_section(one, backend.quantities(one["profile"])))
        details += [
            replace(part, title=f"{part.title}{_of(one, report)}")
            for part in backend.details(one["profile"])
        ]
    return [
        Section(
            f"Accuracy on the test part of {report['data']}",
            ("", *metric_titles(), "inputs", "bit-exact"),
            _accuracy(report),
        ),
        *costs,
        *front_sections(report),
        choice_section(report),
        class_section(
            report["scores"], report["balance"]["training_counts"], report["balance"]["weights"]
        ),
        confusion_section(report["scores"]),
        *details,
        Section("Files", ("what", "where"), _files(report)),
    ]


def _of(target: dict[str, Any], report: dict[str, Any]) -> str:
    """Which target something is of, where there are several."""
    return f" for {target['name']}" if len(report["targets"]) > 1 else ""


def _files(report: dict[str, Any]) -> list[tuple[str, ...]]:
    projects, tables = (
        [(f"{what}{_of(one, report)}", one[key]) for one in report["targets"]]
        for what, key in (("C project", "project"), ("latency table", "table"))
    )
    return [*projects, *report["files"].items(), *tables]


def _accuracy(report: dict[str, Any]) -> list[tuple[str, ...]]:
    always = report["balance"]
    rows: list[tuple[str, ...]] = [
        (f"always {always['largest']!r}", *metric_cells(always["always_largest"]), "", ""),
        ("float network", *metric_cells(report["float_scores"]), "", ""),
        ("int8, integer reference", *metric_cells(report["scores"]), "", ""),
    ]
    for one in report["targets"]:
        rows += [_checked(check, one["name"], _of(one, report)) for check in one["verification"]]
    return rows


def _checked(check: dict[str, Any], target: str, of: str) -> tuple[str, ...]:
    on = check["on"]
    where = f"C{of}, host" if on == "host" else f"C, {board_on(target, on)}"
    exact = "yes" if check["bit_exact"] else f"NO: {check['differing_elements']} differ"
    return f"emitted {where}", *metric_cells(check["scores"]), str(check["samples"]), exact


def cost_section(target: dict[str, Any], quantities: Sequence[Quantity]) -> Section:
    """What was predicted for one target, what the project takes, what was allowed."""
    from tinytailor.compiler.sections import Section

    predicted, profile, budget = target["predicted"], target["profile"], target["budget"]
    estimated = predicted.get("estimated")

    def row(quantity: Quantity) -> tuple[str, ...]:
        key, text = quantity.key, quantity.text
        allowed = budget.get(key)
        verdict = "" if allowed is None else "ok" if profile[key] <= allowed else "OVER"
        limit = "" if allowed is None else text(allowed)
        return quantity.title, text(predicted[key]), text(profile[key]), limit, verdict

    known = "estimated" if estimated else "predicted from the table"
    return Section(
        f"Cost on {target['name']}" + (f"; prediction {estimated['text']}" if estimated else ""),
        ("", known, "emitted project", "budget", ""),
        [row(quantity) for quantity in quantities],
    )


def draw(console: Console, parts: Sequence[Section]) -> None:
    for part in parts:
        text_only = part.text or len(part.columns) == 2
        right = () if text_only else range(1, len(part.columns))
        draw_table(console, part.columns, part.rows, right=right, title=part.title)
        console.print()


def markdown(title: str, parts: Sequence[Section]) -> str:
    lines = [f"# {title}", ""]
    for part in parts:
        lines += [f"## {part.title}", "", _cells(part.columns)]
        lines.append(_cells(["---", *["---:"] * (len(part.columns) - 1)]))
        lines += [*map(_cells, part.rows), ""]
    return "\n".join(lines)


def _cells(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
