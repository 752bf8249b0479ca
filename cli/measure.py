# SPDX-License-Identifier: Apache-2.0
"""tinytailor measure: a latency table of every operator a search space can ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli import completion
from tinytailor.cli.options import Json, OptionalDataName, SpaceName, TargetName, Workers
from tinytailor.cli.output import Result, command
from tinytailor.cli.tables import draw_table
from tinytailor.cli.watch import TERMINAL, Watch
from tinytailor.targets import (
    board_on,
    cross_toolchain,
    default_runner,
    load_target,
    require_board,
    serial_port,
)
from tinytailor.targets.errors import InputError, Interrupted, ToolError

if TYPE_CHECKING:
    from tinytailor.compiler.opkey import OpKey
    from tinytailor.latency_tables import Failure, LatencyTable
    from tinytailor.latency_tables.measuring.measure import Plan
    from tinytailor.targets import Board

KeysFile = Annotated[
    Path | None,
    typer.Option(
        "--keys", help="Measure the operators of this file, such as a plan, not of a space."
    ),
]
TableFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Table file, by default tables/CORE-SPACE.jsonl; of a board at a port "
        "tables/TARGET-SPACE.jsonl.",
    ),
]
Resume = Annotated[
    bool, typer.Option(help="Keep the rows of an existing table, measure only what it lacks.")
]
Runner = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="emulator, qemu or serial:PORT; by default what has the core.",
        autocompletion=completion.runners,
    ),
]
WorkersBackend = Annotated[
    str,
    typer.Option(
        help="Where workers run: loky (this machine), dask or ray (a cluster).",
        autocompletion=completion.one_of("loky", "dask", "ray"),
    ),
]


@command
def run(
    target: TargetName,
    data: OptionalDataName = None,
    space: SpaceName = None,
    keys_file: KeysFile = None,
    out: TableFile = None,
    resume: Resume = True,
    on: Runner = None,
    workers: Workers = 1,
    backend: WorkersBackend = "loky",
    as_json: Json = False,
) -> Result:
    """Measure every operator of a space into a latency table.

    Counts of the emulated core hold for every board that has it; cycles that are measured on a
    board, with --on serial:PORT, for that board alone.

    The operators depend on the shape of the data: give --data, or the shape with the space, as in
    --space micronas:100x6x4 (steps x channels x classes) or image:32x32x3x10 (height x width x
    channels x classes).

    Interrupt it at any time: the same command goes on where it stopped.
    """
    from tinytailor.latency_tables.calibration.measured import read_keys
    from tinytailor.latency_tables.table.latency_table import describe

    board = load_board(target)
    if keys_file is None:
        given = space_name(space, data)
        keys, named = space_keys(given, data, board), given.partition(":")[0]
    else:
        keys, named = read_keys(keys_file, board), keys_file.stem
    path = out or default_table(board, named, on)
    done = measure_keys(
        keys, board, path, resume=resume, workers=workers, backend=backend, runner=on, strict=False
    )
    values = {"table": str(path), "target": board.name, "space": named, "needed": len(keys)}

    def show(console: Console) -> None:
        draw_table(console, SUMMARY, _summary(done, keys, board), right=range(1, len(SUMMARY)))
        console.print(f"{len(keys)} operators of {named} on the {_place(board, on)}: {path}")
        for one in done.failures:
            console.print(f"failed: {describe(one.key)}: {one.message}")

    return Result({**values, **done.to_json()}, show, ToolError.exit_code if done.failures else 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """A table after measuring, what had to be measured, what failed, and what was shipped."""

    table: LatencyTable
    plan: Plan
    failures: tuple[Failure, ...]
    shipped: str

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": len(self.table),
            "known": len(self.plan.known),
            "new": len(self.plan.new) - len(self.failures),
            "failed": [{"key": one.key.to_json(), "message": one.message} for one in self.failures],
            "shipped": self.shipped,
            "header": self.table.header.to_json(),
        }


SUMMARY = ("operator", "rows", "new", "failed", "cycles from", "to")


def _place(board: Board, runner: str | None) -> str:
    """Where operators are measured, in words: a core that is emulated, or a board."""
    runner = runner or default_runner(board)
    return board_on(board.core.name if serial_port(runner) is None else board.name, runner)


def _summary(done: Measured, keys: tuple[OpKey, ...], board: Board) -> list[tuple[str, ...]]:
    """Rows, new ones, failures, and the range of cycles on ``board``, of operators of each kind."""
    summary: list[tuple[str, ...]] = []
    new = set(done.plan.new)
    for kind in sorted({key.kind for key in keys}):
        of_kind = [key for key in keys if key.kind == kind]
        rows = [done.table[key] for key in of_kind if key in done.table]
        fresh = sum(row.key in new for row in rows)
        cycles = [row.cycles_under(board.latency) for row in rows]
        ends = (f"{min(cycles):.0f}", f"{max(cycles):.0f}") if cycles else ("", "")
        counts = (len(rows), fresh, len(of_kind) - len(rows))
        summary.append((kind, *map(str, counts), *ends))
    return summary


def load_board(name: str) -> Board:
    """The microcontroller board of a command that works with latency tables."""
    return require_board(load_target(name), "a latency table")


def space_name(space: str | None, data: str | None) -> str:
    """The search space, by default that of the data."""
    from tinytailor.nas.data import load
    from tinytailor.nas.spaces import default_space

    if space is not None:
        return space
    if not data:
        raise InputError("which operators are needed follows from --space S:SHAPE or --data D")
    return default_space(load(data, seed=0).shape)


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


def default_table(board: Board, space: str, runner: str | None = None) -> Path:
    """Of a core, as all of its boards share counts; of a board that measures, its own."""
    name = board.core.name if serial_port(runner) is None else board.name
    return Path("tables") / f"{name}-{space}.jsonl"


def measure_keys(
    keys: tuple[OpKey, ...],
    board: Board,
    path: Path,
    *,
    resume: bool = True,
    workers: int = 1,
    backend: str = "loky",
    runner: str | None = None,
    strict: bool = True,
    watch: Watch = TERMINAL,
) -> Measured:
    """The table with all of ``keys``; ``watch`` is told how far it is.

    A new table begins with the rows of shipped ones. Unless ``strict``, operators that could not be
    measured are part of the result, and not an error.
    """
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.measuring import shipped
    from tinytailor.latency_tables.measuring.measure import IncompleteError, measure

    toolchain, runner = cross_toolchain(), runner or default_runner(board)
    counted = serial_port(runner) is None  # nothing is shipped that was measured on a board
    said = shipped.begin(path, keys, board, toolchain, runner) if resume and counted else ""
    if said:
        watch.note(said)
    plans: list[Plan] = []

    def start(plan: Plan) -> None:
        plans.append(plan)
        watch.note(
            f"{path}: {len(plan.known)} of {len(keys)} operators are there, {len(plan.new)} are "
            f"measured now on the {_place(board, runner)} with {toolchain.version}"
        )

    with watch.stages() as at:
        how: dict[str, Any] = {
            "resume": resume,
            "workers": workers,
            "backend": backend,
            "runner": runner,
            "on_start": start,
            "on_progress": lambda done, total: at("operators measured", done, total, ""),
        }
        try:
            return Measured(measure(keys, board, toolchain, path, **how), plans[0], (), said)
        except KeyboardInterrupt:
            there = sum(key in LatencyTable.load(path) for key in keys) if path.exists() else 0
            raise Interrupted(
                f"interrupted; {there} of {len(keys)} operators are kept in {path}; the same "
                "command goes on"
            ) from None
        except IncompleteError as error:
            if strict:
                raise
            return Measured(error.table, plans[0], error.failures, said)
