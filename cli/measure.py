# SPDX-License-Identifier: Apache-2.0
"""tinytailor measure: a latency table of every operator a search space can ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from tinytailor.cli.options import Json, OptionalDataName, SpaceName, TargetName, Workers
from tinytailor.cli.output import Result, command, note, stages
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.opkey import OpKey
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.targets import Board


@command
def run(
    target: TargetName,
    data: OptionalDataName = None,
    space: SpaceName = "timeseries",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Table file, by default tables/TARGET-SPACE.jsonl."),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Keep the rows of an existing table, measure only what it lacks.")
    ] = True,
    workers: Workers = 1,
    as_json: Json = False,
) -> Result:
    """Measure every operator of a space on the emulated target into a latency table.

    The operators depend on the shape of the data: give --data, or the shape with the space, as in
    --space timeseries:100x6x4 (steps x channels x classes) or image:32x32x3x10 (height x width x
    channels x classes).

    Interrupt it at any time: the same command goes on where it stopped.
    """
    board = load_board(target)
    keys = space_keys(space, data, board)
    space = space.partition(":")[0]
    path = out or default_table(board, space)
    table = measure_keys(keys, board, path, resume=resume, workers=workers)
    rows = [table[key] for key in keys]
    values = {
        "table": str(path),
        "target": board.name,
        "space": space,
        "rows": len(table),
        "needed": len(keys),
        "header": table.header.to_json(),
    }

    def show(console: Console) -> None:
        summary = Table("operator", "rows", "cycles from", "to", box=None)
        for kind in sorted({row.key.kind for row in rows}):
            cycles = [row.cycles for row in rows if row.key.kind == kind]
            summary.add_row(kind, str(len(cycles)), f"{min(cycles):.0f}", f"{max(cycles):.0f}")
        console.print(summary)
        console.print(f"{len(keys)} operators of {space} on the emulated {board.name}: {path}")

    return Result(values, show)


def load_board(name: str) -> Board:
    """A microcontroller board; InputError for an FPGA, which needs no table."""
    from tinytailor.targets import Board, load_target

    target = load_target(name)
    if not isinstance(target, Board):
        raise InputError(
            f"{target.name} is an FPGA; latency tables are measured for microcontrollers only"
        )
    return target


def space_keys(space: str, data: str | None, board: Board) -> tuple[OpKey, ...]:
    """Every operator that some network of the space needs for this shape of data."""
    from tinytailor.nas.data import load
    from tinytailor.nas.spaces import build_space, parse_space, space_kind

    isa = str(board.core.isa)
    if ":" in space:
        return parse_space(space).keys(isa)
    kind = space_kind(space)
    if not data:
        raise InputError(
            f"--space {space} alone does not say which operators are needed; add --data D, or the "
            f"shape of the data as {space}:{kind.syntax}"
        )
    dataset = load(data, seed=0)  # the shape does not depend on the seed
    return build_space(space, *dataset.shape, dataset.classes).keys(isa)


def default_table(board: Board, space: str) -> Path:
    return Path("tables") / f"{board.name}-{space}.jsonl"


def measure_keys(
    keys: tuple[OpKey, ...], board: Board, path: Path, *, resume: bool = True, workers: int = 1
) -> LatencyTable:
    """The table with all of ``keys``, and a bar on stderr while it measures."""
    from tinytailor.latency_tables.measure import measure
    from tinytailor.targets import cross_toolchain

    toolchain = cross_toolchain()
    note(f"measuring on the emulated {board.name} with {toolchain.version}: {path}")
    with stages() as at:
        return measure(
            keys,
            board,
            toolchain,
            path,
            resume=resume,
            workers=workers,
            on_progress=lambda done, total: at("operators measured", done, total, ""),
        )
