# SPDX-License-Identifier: Apache-2.0
"""What a search is asked for, in the words of its options, and what they mean.

SearchOrder --understood--> settings, boards, usages
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinytailor.cli.energy import parse_usage
from tinytailor.cli.measure import default_table, load_board, space_name
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.nas.settings import SearchSettings
    from tinytailor.targets import Board, Usage

OPTIONAL = (  # where SearchSettings has a default
    "space",
    "recipe",
    "supernet_epochs",
    "evaluations",
    "finalists",
    "trials",
    "search_epochs",
    "trial_epochs",
    "epochs",
    "quantized_epochs",
)


@dataclass(frozen=True)
class SearchOrder:
    """The options of `tinytailor search`, keyword arguments of `tinytailor.search`: names, text and
    defaults are those of both.

    ``target`` and ``table`` are one or several, with commas. None: no limit, the table of the core
    in tables/, or the default of ``SearchSettings``.
    """

    data: str
    target: str
    out: Path
    latency: str | None = None
    budget_sweep: str | None = None
    ram: str | None = None
    flash: str | None = None
    energy: str | None = None
    supply: str | None = None
    period: str | None = None
    battery: str | None = None
    idle: str | None = None
    time: str | None = None
    space: str | None = None
    recipe: str | None = None
    supernet: Path | None = None
    algorithm: str = "supernet"
    metric: str = "accuracy"
    class_weights: str = "none"
    table: str | None = None
    allow_estimates: bool = False
    name: str = "model"
    supernet_epochs: int | None = None
    evaluations: int | None = None
    finalists: int | None = None
    trials: int | None = None
    search_epochs: int | None = None
    trial_epochs: int | None = None
    epochs: int | None = None
    quantized_epochs: int | None = None
    workers: int = 1
    seed: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SearchOrder:
        """Of the arguments of a function that has them all, among others."""
        return cls(**{one.name: given[one.name] for one in fields(cls)})


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """The settings of the search, and the board and its use for each target in them."""

    settings: SearchSettings
    boards: tuple[Board, ...]
    usages: tuple[Usage, ...]


def understood(order: SearchOrder) -> Ordered:
    """InputError for a word that means nothing; quick, and nothing is written."""
    from tinytailor.compiler.project import check_name
    from tinytailor.latency_tables import parse_duration
    from tinytailor.nas.settings import SearchSettings, check_settings

    check_name(order.name)
    boards = load_boards(order.target)
    powered = (order.supply, order.period, order.battery, order.idle)
    usages = tuple(parse_usage(board, *powered) for board in boards.values())
    given = {name: getattr(order, name) for name in OPTIONAL}
    settings = SearchSettings(
        data=order.data,
        targets=tuple(boards),
        tables=tuple(map(str, table_files(order.table, boards, order.space or ""))),
        run=str(order.out),
        supernet=None if order.supernet is None else str(order.supernet),
        time_s=None if order.time is None else parse_duration(order.time),
        algorithm=order.algorithm,
        metric=order.metric,
        class_weights=order.class_weights,
        seed=order.seed,
        allow_estimates=order.allow_estimates,
        supply=order.supply,
        **budget_limits(order, tuple(boards.values()), usages[0].period_ms),
        **{name: value for name, value in given.items() if value is not None},
    )
    check_settings(settings)  # before data are read, which may take seconds
    space = space_name(order.space, order.data)
    tables = tuple(map(str, table_files(order.table, boards, space)))
    settings = replace(settings, space=space, tables=tables)
    return Ordered(settings, tuple(boards.values()), usages)


def load_boards(targets: str) -> dict[str, Board]:
    """The boards of --target by what they were given as; each has a name of its own."""
    boards: dict[str, Board] = {}
    for target in targets.split(","):
        board = load_board(target.strip())
        if board.name in (other.name for other in boards.values()):
            raise InputError(f"--target {targets}: {board.name} is there twice")
        boards[target.strip()] = board
    return boards


def table_files(given: str | None, boards: dict[str, Board], space: str) -> list[Path]:
    """The table of each board, in the order of the boards."""
    if given is None:
        return [default_table(board, space) for board in boards.values()]
    paths = [Path(path.strip()) for path in given.split(",")]
    if len(paths) == 1:
        return paths * len(boards)
    if len(paths) != len(boards):
        raise InputError(
            f"--table {given}: {len(paths)} files for {len(boards)} targets; give one for all, or "
            "one for each in the order of --target"
        )
    return paths


def budget_limits(
    order: SearchOrder, boards: Sequence[Board], period_ms: float | None
) -> dict[str, Any]:
    """The budget in numbers, None where there is no limit but what a board has; time is limited by
    how often an inference is wanted."""
    from tinytailor.latency_tables import parse_bytes, parse_energy, parse_latency

    limits: dict[str, Any] = {
        "latency_ms": period_ms if order.latency is None else parse_latency(order.latency),
        "energy_uj": None if order.energy is None else parse_energy(order.energy),
    }
    if period_ms is not None and limits["latency_ms"] > period_ms:
        raise InputError(f"--latency {order.latency} is longer than --period, {period_ms:g} ms")
    for name, text in (("ram", order.ram), ("flash", order.flash)):
        most = limits[f"{name}_bytes"] = None if text is None else parse_bytes(text)
        for board in boards:
            size = getattr(board, name).bytes
            if most is not None and most > size:
                raise InputError(f"--{name} {text} is more than {board.name} has: {size} bytes")
    return limits
