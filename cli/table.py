# SPDX-License-Identifier: Apache-2.0
"""tinytailor table: what a latency table holds, whether it is sound, what changed between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli import completion
from tinytailor.cli.measure import load_board, space_keys
from tinytailor.cli.options import Json, OptionalDataName, space_option, target_option
from tinytailor.cli.output import Result, command
from tinytailor.cli.parsing import Command, Commands
from tinytailor.cli.tables import draw_table
from tinytailor.targets import called
from tinytailor.targets.errors import InputError, TinytailorError
from tinytailor.targets.names import no_such

if TYPE_CHECKING:
    from tinytailor.compiler.opkey import OpKey
    from tinytailor.latency_tables import Header, LatencyTable, Measurement
    from tinytailor.latency_tables.table.checks import Finding
    from tinytailor.latency_tables.table.diff import Changed, Difference
    from tinytailor.targets import Board

app = typer.Typer(
    cls=Commands, no_args_is_help=True, help="Show, check and compare latency tables."
)

TableFile = Annotated[Path, typer.Argument(help="A table that tinytailor measure wrote.")]
Limit = Annotated[int, typer.Option("--limit", help="Lines of a list, at most; 0 is all.", min=0)]
CheckedSpace = Annotated[str | None, space_option("Search space whose operators should have rows.")]
OwnBoard = Annotated[str | None, target_option("The board that it is to be used for.")]
ORDERS: dict[str, Callable[[Measurement], Any]] = {
    "key": lambda row: row.key,
    "cycles": lambda row: -row.counted_cycles,
    "macs": lambda row: -row.key.operator().macs(*row.key.input_shapes),
    "code": lambda row: -row.code_bytes,
    "scratch": lambda row: -row.scratch_bytes,
    "spread": lambda row: -row.spread_cycles,
}


@app.command("show", cls=Command)
@command
def show(
    file: TableFile,
    kind: Annotated[
        str | None, typer.Option("--kind", help="List the rows of this operator.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            help=f"Order of the list: {', '.join(ORDERS)}.",
            autocompletion=completion.one_of(*ORDERS),
        ),
    ] = "key",
    target: Annotated[str | None, target_option("Show what counts take on this board.")] = None,
    limit: Limit = 40,
    as_json: Json = False,
) -> Result:
    """What a table holds: how it was made, its rows by operator, or the rows of one."""
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.table.origin import require_valid_for

    table, board = LatencyTable.load(file), None if target is None else load_board(target)
    if board is not None:
        require_valid_for(table.header, file, board)
    shown = Shown(board)
    kinds = sorted({key.kind for key in table})
    if kind is not None and kind not in kinds:
        raise no_such(f"{file} has no row of kind {kind!r}", kind, kinds, label="it has")
    if sort not in ORDERS:
        raise no_such(f"no order of rows is called {sort!r} (--sort)", sort, tuple(ORDERS))
    rows = [row for key, row in table.rows.items() if kind in (None, key.kind)]
    rows.sort(key=(lambda row: -shown.cycles(row)) if sort == "cycles" else ORDERS[sort])
    values = {
        "table": str(file),
        "header": table.header.to_json(),
        "rows": [{**row.to_json(), **shown.to_json(row)} for row in rows],
        "failures": [
            {"key": failure.key.to_json(), "message": failure.message}
            for failure in table.failures.values()
        ],
    }

    def draw(console: Console) -> None:
        draw_header(console, table, [row.date for row in rows])
        if kind is None:
            draw_kinds(console, rows, shown)
        else:
            draw_rows(console, rows, limit, shown)
        for failure in table.failures.values():
            console.print(f"could not be measured: {short(failure.key)}: {failure.message}")

    return Result(values, draw)


@dataclass(frozen=True, slots=True)
class Shown:
    """Whose cycles are shown: those of a board, or, without one, those that were counted."""

    board: Board | None

    def cycles(self, row: Measurement) -> float:
        return row.cycles_under(self.board.latency) if self.board else row.counted_cycles

    def provenance(self, row: Measurement) -> str:
        if row.measured:
            return "measured"
        return "of the core alone" if self.board is None else f"modelled for {self.board.name}"

    def to_json(self, row: Measurement) -> dict[str, float]:
        return {} if self.board is None else {"cycles_on_target": self.cycles(row)}


def draw_header(console: Console, table: LatencyTable, dates: list[str]) -> None:
    header = table.header
    days = sorted({*dates} - {""})
    span = f", rows of {days[0]}" + (f" to {days[-1]}" if days[1:] else "") if days else ""
    console.print(
        f"{origin_text(header)}\n"
        f"{header.toolchain_version}: {' '.join(header.toolchain_flags)}\n"
        f"tinytailor {header.tool_version}, code generator {header.compiler}, begun "
        f"{header.created}{span}\n"
        f"{len(table)} rows, {len(table.failures)} failures"
    )


def origin_text(header: Header) -> str:
    core = f"{header.core}, {header.isa}"
    if header.clock_hz is None:
        return f"{core}: counted by {called(header.runner)}, for every board with this core"
    return f"{header.target}: {core}, {header.clock_hz / 1e6:g} MHz, measured at a serial port"


def draw_kinds(console: Console, rows: list[Measurement], shown: Shown) -> None:
    drawn = []
    for kind in sorted({row.key.kind for row in rows}):
        part = [row for row in rows if row.key.kind == kind]
        cycles = [shown.cycles(row) for row in part]
        counts = (min(cycles), median(cycles), max(cycles))
        drawn.append(
            (
                kind,
                str(len(part)),
                *(f"{value:.0f}" for value in counts),
                str(max(row.spread_cycles for row in part)),
                " and ".join(sorted({shown.provenance(row) for row in part})),
            )
        )
    columns = ("operator", "rows", "cycles from", "median", "to", "spread", "cycles are")
    draw_table(console, columns, drawn, right=range(1, 6))


def draw_rows(console: Console, rows: list[Measurement], limit: int, shown: Shown) -> None:
    names = ("cycles", "instructions", "flash bytes read", "scratch", "code", "repeats", "spread")
    drawn = []
    for row in rows[: limit or None]:
        counted = row.counts
        drawn.append(
            (
                short(row.key),
                f"{shown.cycles(row):.0f}" + (" measured" if row.measured else ""),
                str(counted.instructions) if counted else "not counted",
                str(counted.flash_bytes) if counted else "not counted",
                str(row.scratch_bytes),
                str(row.code_bytes),
                str(row.repeats),
                str(row.spread_cycles),
                row.date,
            )
        )
    draw_table(console, ("operator", *names, "date"), drawn, right=range(1, 8))
    draw_more(console, len(rows), limit)


def draw_more(console: Console, count: int, limit: int) -> None:
    if limit and count > limit:
        console.print(f"… and {count - limit} more (--limit 0 for all)")


def short(key: OpKey) -> str:
    from tinytailor.latency_tables.table.latency_table import describe

    return describe(key)


@app.command("check", cls=Command)
@command
def check(
    file: TableFile,
    space: CheckedSpace = None,
    data: OptionalDataName = None,
    target: OwnBoard = None,
    limit: Limit = 40,
    as_json: Json = False,
) -> Result:
    """Look for what is wrong with a table: outliers, larger operators that are cheaper, missing
    rows of a space, failures, and another compiler than this tool's. Exit code 1 if there is any.
    """
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.table.checks import check_table

    table = LatencyTable.load(file)
    if data is not None and space is None:
        raise InputError("--data says nothing without --space")
    wanted: tuple[OpKey, ...] = ()
    if space is not None:
        wanted = space_keys(space, data, board_of(table, target))
    checked = check_table(table, wanted, foreign(table, target))
    values = {
        "table": str(file),
        "rows": checked.rows,
        "judged": checked.judged,
        "steps": checked.steps,
        "wanted": len(wanted),
        "findings": [finding.to_json() for finding in checked.findings],
    }

    def draw(console: Console) -> None:
        for finding in checked.findings[: limit or None]:
            console.print(f"{finding.what}: {finding.message}")
        draw_more(console, len(checked.findings), limit)
        asked = f", {len(wanted)} operators of {space} looked up" if space else ""
        console.print(
            f"{len(checked.findings)} findings in {checked.rows} rows: {checked.judged} compared "
            f"with near sizes, {checked.steps} steps of one size{asked}"
        )

    return Result(values, draw, exit_code=1 if checked.findings else 0)


def board_of(table: LatencyTable, target: str | None) -> Board:
    """The board to use ``table`` for; without one, counts are those of a core, measured cycles
    those of their board, which is known by its file only if it is a user's own."""
    from tinytailor.latency_tables.measuring.counting import bench
    from tinytailor.targets import CORES, target_names

    header = table.header
    if target is not None:
        return load_board(target)
    if header.target is None:
        if header.core not in CORES:
            raise InputError(f"{table.path} is of a core {header.core!r} that this tool lacks")
        return bench(CORES[header.core])
    if header.target not in target_names():
        raise InputError(
            f"{table.path} was measured on {header.target}, which does not ship with the tool; "
            "give its board file with --target"
        )
    return load_board(header.target)


def foreign(table: LatencyTable, target: str | None) -> list[Finding]:
    """What differs between the makers of ``table`` and this tool, as at most one finding."""
    from tinytailor.latency_tables.table.checks import Finding
    from tinytailor.latency_tables.table.origin import differences, in_words
    from tinytailor.targets import cross_toolchain

    try:
        board = board_of(table, target)
        differing = differences(table, board, cross_toolchain(), table.header.runner)
    except TinytailorError as error:
        return [Finding("foreign", None, f"cannot be compared with this tool: {error}", {})]
    if not differing:
        return []
    message = f"measured with something else than this tool would: {in_words(differing)}"
    pairs = {name: list(pair) for name, pair in differing.items()}
    return [Finding("foreign", None, message, {"differing": pairs})]


@app.command("diff", cls=Command)
@command
def diff(first: TableFile, second: TableFile, limit: Limit = 40, as_json: Json = False) -> Result:
    """Compare two tables: rows of one only, values that changed, headers. Exit code 1 if a row
    differs; dates of rows are not compared."""
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.table.diff import diff_tables

    found = diff_tables(LatencyTable.load(first), LatencyTable.load(second))
    values = {"first": str(first), "second": str(second), **found.to_json()}

    def draw(console: Console) -> None:
        for name, (old, new) in found.header.items():
            console.print(f"header: {name}: {old} -> {new}")
        lists = (
            (f"only in {first}", found.only_first),
            (f"only in {second}", found.only_second),
            (f"failed for {first} only", found.failures_first),
            (f"failed for {second} only", found.failures_second),
        )
        for name, keys in lists:
            for key in keys[: limit or None]:
                console.print(f"{name}: {short(key)}")
            draw_more(console, len(keys), limit)
        draw_changes(console, found, limit)

    return Result(values, draw, exit_code=1 if found.rows_differ else 0)


def draw_changes(console: Console, found: Difference, limit: int) -> None:
    """The largest changes of counted cycles first."""
    changes = sorted(found.changed, key=lambda change: -far(change))
    for change in changes[: limit or None]:
        pairs = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in change.values.items())
        ratio = f" ({change.ratio:.3f}x)" if change.ratio is not None else ""
        console.print(f"changed{ratio}: {short(change.key)}: {pairs}")
    draw_more(console, len(changes), limit)
    ratios = [change.ratio for change in changes if change.ratio is not None]
    of = f", cycles {min(ratios):.3f}x to {max(ratios):.3f}x" if ratios else ""
    console.print(
        f"{found.same} rows are the same, {len(changes)} changed{of}, {len(found.only_first)} and "
        f"{len(found.only_second)} are in one table only"
    )


def far(change: Changed) -> float:
    """How far the cycles are apart, as a factor."""
    return max(change.ratio, 1 / change.ratio) if change.ratio else float("inf")
