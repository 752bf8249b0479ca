# SPDX-License-Identifier: Apache-2.0
"""tinytailor space: what a search space holds, and what its networks cost on a board."""

from __future__ import annotations

import time
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.measure import default_table, load_board
from tinytailor.cli.options import Json, OptionalDataName, TargetName, Workers
from tinytailor.cli.output import Result, command
from tinytailor.cli.tables import draw_table

if TYPE_CHECKING:
    from tinytailor.compiler.opkey import OpKey
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.estimate import EstimatedTable
    from tinytailor.nas.spaces import Space
    from tinytailor.targets import Board

SpaceSpec = Annotated[
    str, typer.Argument(help="A space with its shape, as series:128x9x6, or its name with --data.")
]
PACED = 16  # operators that are measured to tell how long the others take
AMOUNTS = ("latency_ms", "ram_bytes", "flash_bytes")


@command
def run(
    space: SpaceSpec,
    target: TargetName,
    data: OptionalDataName = None,
    table: Annotated[
        Path | None, typer.Option(help="Latency table, by default tables/CORE-SPACE.jsonl.")
    ] = None,
    allow_estimates: Annotated[
        bool, typer.Option("--allow-estimates", help="Estimate operators that no table has.")
    ] = False,
    workers: Workers = 1,
    as_json: Json = False,
) -> Result:
    """Say how many networks a space holds, which operators they need, and what they cost.

    Costs are those of the cheapest and of the dearest network under each of latency, RAM and flash,
    exactly, from a latency table: that of --table, or the shipped ones of the board's core.
    """
    board = load_board(target)
    found = space_of(space, data)
    keys = found.keys(str(board.core.isa))
    rows = known_rows(keys, board, table or default_table(board, found.name))
    missing = [key for key in keys if key not in rows]
    values: dict[str, Any] = {
        "space": found.spec,
        "target": board.name,
        "decisions": {d.name: [_plain(option) for option in d.options] for d in found.decisions},
        "networks": float(prod(len(d.options) for d in found.decisions)),
        "operators": len(keys),
        "missing": len(missing),
        "measuring_s": measuring_seconds(missing, board, workers),
        "members": members(found, board, keys, rows, allow_estimates),
    }
    return Result(values, lambda console: draw(console, values, space, target))


def space_of(text: str, data: str | None) -> Space:
    """A space with its shape, or the one of that name for ``data``."""
    from tinytailor.nas.data import load
    from tinytailor.nas.spaces import build_space, parse_space

    if ":" in text or not data:
        return parse_space(text)
    dataset = load(data, seed=0)
    return build_space(text, *dataset.shape, dataset.classes)


def known_rows(keys: tuple[OpKey, ...], board: Board, path: Path) -> dict[OpKey, Any]:
    """The rows of the board's table and of the shipped ones of its core that are among ``keys``,
    as far as they hold for this compiler."""
    from tinytailor.latency_tables import LatencyTable
    from tinytailor.latency_tables.measuring.shipped import shipped_tables
    from tinytailor.latency_tables.table.origin import compiler_digest

    rows: dict[OpKey, Any] = {}
    files = [path] if path.exists() else []
    for file in (*files, *shipped_tables(board.core.name)):
        table = LatencyTable.load(file)
        if table.header.compiler == compiler_digest():
            rows.update({key: table for key in keys if key in table and key not in rows})
    return rows


def measuring_seconds(missing: list[OpKey], board: Board, workers: int) -> float:
    """How long measuring them takes here: some are, and what that took is scaled."""
    from tinytailor.latency_tables.measuring.measure import measure_batch
    from tinytailor.targets import cross_toolchain, default_runner

    if not missing:
        return 0.0
    step = max(1, len(missing) // PACED)
    some = missing[::step][:PACED]
    before = time.monotonic()
    measure_batch(some, board, cross_toolchain(), default_runner(board))
    return (time.monotonic() - before) / len(some) * len(missing) / workers


def members(
    space: Space,
    board: Board,
    keys: tuple[OpKey, ...],
    rows: dict[OpKey, LatencyTable],
    allow_estimates: bool,
) -> list[dict[str, Any]]:
    """The cheapest and the dearest network under each cost; nothing if prices are missing."""
    from tinytailor.nas.cost import Parts, TableCosts, amounts
    from tinytailor.nas.search.cheapest import cheapest, dearest

    table = priced_by(keys, rows, allow_estimates)
    if table is None:
        return []
    costs = TableCosts(table, board)
    parts, found = Parts(costs), []
    for end, choose in (("cheapest", cheapest), ("dearest", dearest)):
        for name, arch in zip(AMOUNTS, choose(space, parts), strict=True):
            topology = space.topology(arch)
            cost = dict(zip(AMOUNTS, amounts(costs.network(topology)), strict=True))
            found.append({"end": end, "by": name, **cost, "architecture": arch.to_json()})
    return found


def priced_by(
    keys: tuple[OpKey, ...], rows: dict[OpKey, LatencyTable], allow_estimates: bool
) -> LatencyTable | EstimatedTable | None:
    """One table with all ``keys``, or one that estimates what it lacks where that is allowed."""
    from tinytailor.latency_tables.estimate import EstimatedTable

    tables = {id(table): table for table in rows.values()}
    whole = [table for table in tables.values() if all(key in table for key in keys)]
    if whole:
        return whole[0]
    if not allow_estimates or not tables:
        return None
    return EstimatedTable(max(tables.values(), key=lambda one: sum(key in one for key in keys)))


def draw(console: Console, values: dict[str, Any], space: str, target: str) -> None:
    decisions = [
        (name, str(len(options)), _shown(options)) for name, options in values["decisions"].items()
    ]
    draw_table(console, ("decision", "options", ""), decisions)
    console.print(
        f"{values['space']}: {values['networks']:.2g} networks of {values['operators']} operators "
        f"on {values['target']}"
    )
    if values["missing"]:
        console.print(
            f"{values['missing']} operators have no row yet; measuring them takes about "
            f"{values['measuring_s']:.0f} s: tinytailor measure --space {values['space']} "
            f"--target {target}"
        )
    if values["members"]:
        columns = ("network", "latency ms", "RAM B", "flash B")
        draw_table(console, columns, [_member(one) for one in values["members"]])


def _member(one: dict[str, Any]) -> tuple[str, ...]:
    by = one["by"].split("_")[0]
    return (
        f"{one['end']} in {by}",
        f"{one['latency_ms']:.3f}",
        f"{one['ram_bytes']:.0f}",
        f"{one['flash_bytes']:.0f}",
    )


def _plain(option: Any) -> Any:
    return list(option) if isinstance(option, tuple) else option


def _shown(options: list[Any]) -> str:
    texts = ["+".join(map(str, o)) if isinstance(o, list) else str(o) for o in options]
    return " ".join(texts)
