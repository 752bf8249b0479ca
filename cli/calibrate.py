# SPDX-License-Identifier: Apache-2.0
"""tinytailor calibrate: the latency constants of a board, from a few measurements on it.

measured FILE -> keys -> counts of the emulator (--table, or on the spot) -> fit -> board TOML
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.measure import default_table, load_board, measure_keys, space_keys, space_name
from tinytailor.cli.options import Json, OptionalDataName, Seed, TargetName, Workers, space_option
from tinytailor.cli.output import Result, command, note
from tinytailor.cli.tables import draw_table
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.opkey import OpKey
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.calibration.calibrate import Calibration, Candidate, Point
    from tinytailor.targets import Board, LatencyModel

SHOWN_RESIDUALS = 5
FEW = 8  # planned operators: in simulations five were worse than five random ones


class Outliers(StrEnum):
    """What to do with measurements far from what the others agree on."""

    refuse = "refuse"
    keep = "keep"
    drop = "drop"


@command
def run(
    target: TargetName,
    measured: Annotated[
        Path | None, typer.Option(help="What was measured on the board: .jsonl, .csv or a table.")
    ] = None,
    plan: Annotated[
        int | None, typer.Option(help="Propose so many operators of --space to measure.", min=1)
    ] = None,
    space: Annotated[
        str | None, space_option("Search space, for --plan; by default that of the data.")
    ] = None,
    data: OptionalDataName = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Emulated latency table with the counts; what it lacks is counted."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Board file (TARGET-calibrated.toml), or plan, to write."),
    ] = None,
    outliers: Annotated[
        Outliers, typer.Option(help="Measurements that do not fit the others.")
    ] = Outliers.refuse,
    workers: Workers = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> Result:
    """Fit a board's latency constants to a few measured operators or networks.

    --plan 10 --out FILE writes which operators to measure; fill in their cycles (or latency_ms), or
    let tinytailor measure --keys FILE --on serial:PORT do so, and give it back as --measured. The
    fitted board is a file of yours for --target; nothing that ships with the tool changes.
    """
    board = load_board(target)
    _ = board.latency  # a board without a cycle model has no constants to fit
    if (measured is None) == (plan is None):
        raise InputError("give either --measured FILE (to fit) or --plan N (what to measure)")
    if plan is not None:
        return _plan(target, board, plan, space_name(space, data), data, table, out, workers)
    assert measured is not None
    points = _points(measured, board, table, workers)
    points, dropped = _without_outliers(points, outliers)
    return _fit(board, measured, points, dropped, out, seed)


def _points(measured: Path, board: Board, table: Path | None, workers: int) -> tuple[Point, ...]:
    from tinytailor.latency_tables.calibration.measured import is_table, read_measured
    from tinytailor.latency_tables.calibration.points import keys_of, make_points

    keys = keys_of(read_measured(measured, board), board)
    wanted = tuple(sorted({key for operators in keys.values() for key in operators}))
    own = measured if table is None and is_table(measured) else table
    return make_points(keys, counted(wanted, board, own, workers), board)


def counted(keys: tuple[OpKey, ...], board: Board, path: Path | None, workers: int) -> LatencyTable:
    """A table with the counts of ``keys``: that at ``path``, completed, or a passing one."""
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.table.origin import require_valid_for

    if path is not None and path.exists():
        table = LatencyTable.load(path)
        require_valid_for(table.header, path, board)
        if all(key in table and table[key].counts is not None for key in keys):
            return table  # needs no cross compiler
        if table.header.target is not None:
            path = None  # what was measured on a board is not mixed with what is emulated now
    if path is not None:
        return measure_keys(keys, board, path, workers=workers).table
    with tempfile.TemporaryDirectory(prefix="tinytailor-calibrate-") as folder:
        return measure_keys(keys, board, Path(folder) / "table.jsonl", workers=workers).table


def _without_outliers(
    points: tuple[Point, ...], outliers: Outliers
) -> tuple[tuple[Point, ...], tuple[tuple[Point, float], ...]]:
    """Points to fit, and those that were left out with measured / expected."""
    from tinytailor.latency_tables.calibration.points import find_outliers

    found = find_outliers(points)
    if not found or outliers is Outliers.keep:
        return points, ()
    if outliers is Outliers.refuse:
        lines = [
            f"  {point.name}: {point.cycles:.0f} cycles measured, {100 * ratio:.2f} % of expected"
            for point, ratio in found
        ]
        raise InputError(
            "\n".join(
                [
                    f"{len(found)} of {len(points)} measurements do not fit the others:",
                    *lines,
                    "measure them again, or decide with --outliers drop or --outliers keep",
                ]
            )
        )
    gone = {id(point) for point, _ in found}
    return tuple(point for point in points if id(point) not in gone), found


def _fit(
    board: Board,
    measured: Path,
    points: tuple[Point, ...],
    dropped: tuple[tuple[Point, float], ...],
    out: Path | None,
    seed: int,
) -> Result:
    from tinytailor.latency_tables.calibration.board_file import write_board
    from tinytailor.latency_tables.calibration.calibrate import calibrate

    path = out or Path(f"{board.name}-calibrated.toml")
    result = calibrate(points, seed)
    today = datetime.now(UTC).date().isoformat()
    source = (
        f"fitted on {result.points} latencies measured on this board ({measured.name}, {today}), "
        f"cross-validated error: {result.error}"
    )
    model = result.latency_model(source, board.latency)
    write_board(board, model, path)
    values = {
        "target": board.name,
        "board_file": str(path),
        "measured": str(measured),
        **_values(result, board.latency, model),
        "dropped": [{"name": point.name, "measured_over_expected": r} for point, r in dropped],
    }
    return Result(values, lambda console: _show(console, result, board, model, path, dropped))


def _values(result: Calibration, before: LatencyModel, after: LatencyModel) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "points": result.points,
        "constants": asdict(after),
        "before": asdict(before),
        "model": list(result.fitted.model.constants),
        "cross_validated": asdict(result.error),
        "in_sample": asdict(result.in_sample),
        "ranges": {name: list(pair) for name, pair in result.ranges.items()},
        "models": [
            {"model": list(c.model.constants), "cross_validated": asdict(c.error)}
            for c in result.candidates
        ],
        "residuals": [
            {"name": point.name, "cycles": point.cycles, "error": error}
            for point, error in result.residuals
        ],
        "cannot_be_told": list(result.untold),
    }


def _show(
    console: Console,
    result: Calibration,
    board: Board,
    model: LatencyModel,
    path: Path,
    dropped: tuple[tuple[Point, float], ...],
) -> None:
    from tinytailor.latency_tables.calibration.calibrate import CONSTANTS

    changed: list[tuple[str, ...]] = []
    for name in CONSTANTS:
        low_high = result.ranges.get(name)
        text = f"{low_high[0]:.4g} to {low_high[1]:.4g}" if low_high else ""
        old, new = getattr(board.latency, name), getattr(model, name)
        changed.append((name, f"{old:g}", f"{new:g}", text))
    if model.cache_bytes or board.latency.cache_bytes:
        sizes = (board.latency.cache_bytes, model.cache_bytes)
        texts = ("none" if size is None else f"{size[0]}, {size[1]}" for size in sizes)
        changed.append(("cache_bytes", *texts, ""))
    if model.fetch_byte:
        kept = f"{model.fetch_byte:g}"
        changed.append(("fetch_byte", kept, kept, "kept from the board's file, not fitted"))
    draw_table(console, ("constant", "before", "now", "95 % of bootstrap samples"), changed)
    console.print(f"\n{result.points} measured latencies; error on points left out: {result.error}")
    models: list[tuple[str, ...]] = []
    best = sorted(result.candidates, key=lambda c: (c.model.parameters, c.error.mean))
    for c in best:
        if c.model.parameters == 1 or c.model == result.fitted.model or c in _leading(result):
            taken = "  <- taken" if c.model == result.fitted.model else ""
            errors = (f"{100 * c.error.mean:.2f} %", f"{100 * c.error.p90:.2f} %{taken}")
            models.append((c.model.text, *errors))
    draw_table(console, ("model", "mean error", "90th percentile"), models)
    worst = sorted(result.residuals, key=lambda pair: -abs(pair[1]))[:SHOWN_RESIDUALS]
    console.print("\nfarthest from the fit:")
    for point, error in worst:
        console.print(f"  {100 * error:+.1f} %  {point.name}")
    for point, ratio in dropped:
        console.print(f"left out: {point.name}, {100 * ratio:.2f} % of expected")
    for sentence in result.untold:
        console.print(f"note: {sentence}")
    console.print(f"\n{path}: use it as --target {path}")


def _leading(result: Calibration) -> list[Candidate]:
    return sorted(result.candidates, key=lambda c: c.error.mean)[:3]


def _plan(
    target: str,
    board: Board,
    count: int,
    space: str,
    data: str | None,
    table: Path | None,
    out: Path | None,
    workers: int,
) -> Result:
    from tinytailor.latency_tables.calibration.measured import write_plan
    from tinytailor.latency_tables.calibration.plan import fits, propose
    from tinytailor.latency_tables.table.latency_table import describe

    keys = space_keys(space, data, board)
    path = table or default_table(board, space.partition(":")[0])
    rows = counted(keys, board, path, workers)
    if count < FEW:
        note(f"{count} operators are few for a board with flash waits or a cache; 10 are advised")
    able = [row for row in (rows[key] for key in sorted(keys)) if fits(row, board)]
    chosen = [row.key for row in propose(able, count)]
    if out is not None:
        write_plan(chosen, out)
    values = {
        "target": board.name,
        "table": str(path),
        "plan": None if out is None else str(out),
        "keys": [key.to_json() for key in chosen],
    }

    def show(console: Console) -> None:
        for key in chosen:
            console.print(describe(key))
        if out is not None:
            console.print(
                f"\n{out}: fill in cycles, or latency_ms in its place, or let a board do it:"
            )
            on = f"--target {target} --keys {out} --on serial:PORT"
            console.print(f"    tinytailor measure {on} --out measured.jsonl")
            console.print("then give the filled-in plan, or the measured table, back:")
            console.print(f"    tinytailor calibrate --target {target} --measured FILE")

    return Result(values, show)
