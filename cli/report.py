# SPDX-License-Identifier: Apache-2.0
"""tinytailor report: what a search or a compiled project came to, from its files.

A report is plain data (report.json, or a project's manifest.json); ``sections`` turns it into
tables of text, which are drawn on a terminal or written as Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tinytailor.cli.layers import LAYER_COLUMNS, layer_rows
from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command
from tinytailor.targets.errors import InputError

REPORT = "report.json"
MARKDOWN = "report.md"
SEARCH = "search"


@command
def run(
    folder: Annotated[Path, typer.Argument(help="RUN folder of a search, or a compiled project.")],
    as_json: Json = False,
) -> Result:
    """Print the report of a search or of a compiled project again, from its files."""
    report = read_report(folder)
    try:
        parts = sections(report)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the report in {folder} is not complete ({error!r}); run what wrote it again"
        ) from None
    return Result(report, lambda console: draw(console, parts))


def read_report(folder: Path) -> dict[str, Any]:
    """report.json of a RUN folder, or the manifest of a project."""
    from tinytailor.compiler.project import read_manifest

    path = folder / REPORT
    if not path.exists():
        if (folder / "settings.json").exists():
            raise InputError(f"{folder} holds a search that is not finished; run it again to go on")
        return read_manifest(folder)
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    if not isinstance(report, dict) or report.get("kind") != SEARCH:
        raise InputError(f"{path} is not a report of tinytailor search")
    return report


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and a table; the first column is left-aligned, the others right unless ``text``."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    text: bool = False


def sections(report: dict[str, Any]) -> list[Section]:
    """The tables of a report, most important first."""
    if report["kind"] == SEARCH:
        return [
            _accuracy(report),
            _cost(report),
            *_device(report["profile"]),
            Section("Files", ("what", "where"), list(report["files"].items())),
        ]
    if report["kind"] == "mcu":
        from tinytailor.cli.arena import arena_section

        first = [*_measured(report), _sizes(report), *_in_float(report)]
        return [*first, arena_section(report), *_device(report)]
    plain = [
        (key, str(value)) for key, value in report.items() if not isinstance(value, list | dict)
    ]
    return [Section(f"{report['name']} for {report['target']}", ("", ""), plain)]


def _accuracy(report: dict[str, Any]) -> Section:
    rows = [
        ("float network", _percent(report["accuracy"]["float"]), "", ""),
        ("int8, integer reference", _percent(report["accuracy"]["integer"]), "", ""),
    ]
    for check in report["verification"]:
        where = (
            "emitted C, host"
            if check["on"] == "host"
            else f"emitted C, emulated {report['target']}"
        )
        exact = "yes" if check["bit_exact"] else f"NO: {check['differing_elements']} differ"
        rows.append((where, _percent(check["accuracy"]), str(check["samples"]), exact))
    title = f"Accuracy on the test part of {report['data']}"
    return Section(title, ("", "accuracy", "inputs", "bit-exact"), rows)


def _cost(report: dict[str, Any]) -> Section:
    predicted, profile, budget = report["predicted"], report["profile"], report["budget"]

    def row(title: str, key: str, text: Any, limit: str | None = None) -> tuple[str, ...]:
        allowed = budget.get(limit) if limit else None
        verdict = "" if allowed is None else "ok" if profile[key] <= allowed else "OVER"
        return (
            title,
            text(predicted[key]),
            text(profile[key]),
            "" if allowed is None else text(allowed),
            verdict,
        )

    estimated = predicted.get("estimated")
    return Section(
        f"Cost on {report['target']}" + (f"; prediction {estimated['text']}" if estimated else ""),
        (
            "",
            "estimated" if estimated else "predicted from the table",
            "emitted project",
            "budget",
            "",
        ),
        [
            row(_latency_title(profile), "latency_ms", "{:.3f} ms".format, "latency_ms"),
            row("arena", "arena_bytes", "{:d} B".format),
            row("RAM (arena, buffers, stack)", "ram_bytes", "{:d} B".format, "ram_bytes"),
            row("flash (code, constants)", "flash_bytes", "{:d} B".format, "flash_bytes"),
        ],
    )


def _sizes(manifest: dict[str, Any]) -> Section:
    rows = [
        (_latency_title(manifest), _or_none(manifest["latency_ms"], "{:.3f} ms")),
        ("cycles", _or_none(manifest["cycles"], "{:.0f}")),
        ("instructions", str(manifest["instructions"])),
        ("arena", f"{manifest['arena_bytes']} B"),
        ("RAM (arena, buffers, stack)", f"{manifest['ram_bytes']} B"),
        ("flash (code, constants)", f"{manifest['flash_bytes']} B"),
        ("multiply-accumulates", str(manifest["macs"])),
        ("bit-exact", "yes" if manifest["bit_exact"] else "NO"),
    ]
    return Section(f"{manifest['name']} on {manifest['target']}", ("", "emitted project"), rows)


def _measured(manifest: dict[str, Any]) -> list[Section]:
    """What a board at a serial port took, if there was one; cycles of QEMU are no time."""
    found = manifest.get("measured")
    if found is None:
        return []
    if found["simulated"]:
        rows = [("latency", "none: QEMU's cycles are no time")]
    else:
        low, high = found["latency_ms_least"], found["latency_ms_most"]
        rows = [
            ("latency, median", f"{found['latency_ms']:.3f} ms (from {low:.3f} to {high:.3f})"),
            ("cycles, median", f"{found['cycles']} at {found['clock_hz'] / 1e6:g} MHz"),
            ("counted by", f"{found['counter']}, {found['repeats']} runs"),
        ]
    rows.append(("outputs bit-exact", "yes" if found["bit_exact"] else "NO"))
    did = "Run" if found["simulated"] else "Measured"
    return [Section(f"{did} on {found['on']}", ("", ""), rows)]


def _in_float(manifest: dict[str, Any]) -> list[Section]:
    """Layers without an integer form, if there are any."""
    rows = [(f["name"], ", ".join(f["operators"])) for f in manifest.get("float_layers", ())]
    return [Section("Computed in float", ("layer", "operators"), rows, text=True)] if rows else []


def _device(manifest: dict[str, Any]) -> list[Section]:
    provenance = manifest["provenance"]
    return [
        Section("Layers", LAYER_COLUMNS, layer_rows(manifest["layers"])),
        Section(
            "Where the numbers come from",
            ("", ""),
            [
                ("instructions", provenance["instructions"]),
                ("latency", provenance["latency"]),
                ("board constants", f"{provenance['board_trust']}; {provenance['board_model']}"),
                ("C compiler", f"{provenance['toolchain']} {provenance['flags']}"),
            ],
        ),
    ]


def _latency_title(manifest: dict[str, Any]) -> str:
    """The name of the row of the time; what it can be trusted for stands under the layers."""
    provenance = manifest["provenance"]
    if manifest["latency_ms"] is None or provenance["board_calibrated"]:
        return "latency (emulated, modelled)"
    return "latency (emulated, modelled, uncalibrated)"


def _or_none(value: float | None, text: str) -> str:
    return "no cycle model" if value is None else text.format(value)


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
