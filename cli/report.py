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
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command
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

    backend, profile = backend_for(report["profile"]["kind"]), report["profile"]
    return [
        Section(
            f"Accuracy on the test part of {report['data']}",
            ("", "accuracy", "inputs", "bit-exact"),
            _accuracy(report),
        ),
        cost_section(report, backend.quantities(profile)),
        *backend.details(profile),
        Section("Files", ("what", "where"), list(report["files"].items())),
    ]


def _accuracy(report: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("float network", _percent(report["accuracy"]["float"]), "", ""),
        ("int8, integer reference", _percent(report["accuracy"]["integer"]), "", ""),
    ]
    for check in report["verification"]:
        on = check["on"]
        where = on if on == "host" else board_on(report["target"], on)
        exact = "yes" if check["bit_exact"] else f"NO: {check['differing_elements']} differ"
        rows.append(
            (f"emitted C, {where}", _percent(check["accuracy"]), str(check["samples"]), exact)
        )
    return rows


def cost_section(report: dict[str, Any], quantities: Sequence[Quantity]) -> Section:
    """What was predicted, what the project takes, what was allowed."""
    from tinytailor.compiler.sections import Section

    predicted, profile, budget = report["predicted"], report["profile"], report["budget"]
    estimated = predicted.get("estimated")

    def row(quantity: Quantity) -> tuple[str, ...]:
        key, text = quantity.key, quantity.form.format
        allowed = budget.get(key)
        verdict = "" if allowed is None else "ok" if profile[key] <= allowed else "OVER"
        limit = "" if allowed is None else text(allowed)
        return quantity.title, text(predicted[key]), text(profile[key]), limit, verdict

    known = "estimated" if estimated else "predicted from the table"
    return Section(
        f"Cost on {report['target']}" + (f"; prediction {estimated['text']}" if estimated else ""),
        ("", known, "emitted project", "budget", ""),
        [row(quantity) for quantity in quantities],
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def draw(console: Console, parts: Sequence[Section]) -> None:
    for part in parts:
        table = Table(title=part.title, title_justify="left", box=None, pad_edge=False)
        for index, column in enumerate(part.columns):
            text_only = part.text or len(part.columns) == 2
            table.add_column(column, justify="left" if index == 0 or text_only else "right")
        for row in part.rows:
            table.add_row(*row)
        console.print(table)
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
