# SPDX-License-Identifier: Apache-2.0
"""All that a search needs before it trains: data, prices, and the proof that some network fits.

    data set -> space -> tables -> bases of the costs (exact costs of sampled networks) -> feasible

What takes long, the last two, is kept in RUN/prepared.json and used again as long as nothing that
decides it has changed: tables, boards, the compiler, the shape of the data.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.estimate import EstimatedTable
from tinytailor.latency_tables.table.origin import compiler_digest, require_valid_for
from tinytailor.nas.constraint import Constraint
from tinytailor.nas.cost import Parts, TableCosts, fit_parts, require_keys
from tinytailor.nas.data import Dataset, load
from tinytailor.nas.data.balance import balance
from tinytailor.nas.data.npz import read_npz
from tinytailor.nas.data.sources import digest_of_file
from tinytailor.nas.progress import OnProgress, Progress
from tinytailor.nas.search.feasible import feasible_network
from tinytailor.nas.settings import SearchSettings, stored
from tinytailor.nas.spaces import Architecture, Space, build_space
from tinytailor.targets import load_target, require_board
from tinytailor.targets.errors import Doubt, InputError
from tinytailor.targets.files import read_json, write_json

PREPARED = "prepared.json"
EFFORT = ("trials", "search_epochs", "trial_epochs", "epochs", "quantized_epochs", "batch")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The data, the space for them, prices and budget of each target, and one network that fits;
    ``mark``: see ``fingerprint``."""

    mark: str
    dataset: Dataset
    space: Space
    costs: tuple[TableCosts, ...]
    constraints: tuple[Constraint, ...]
    fits: Architecture


def prepare(settings: SearchSettings, folder: Path, on_progress: OnProgress) -> Prepared:
    """BudgetError if no network can fit; the RUN folder may not be there yet."""
    on_progress(Progress("data", 0, 1, settings.data))
    dataset = load(settings.data, settings.seed, settings.valid_fraction)
    doubt_balance(settings, dataset)
    space = build_space(settings.space, *dataset.shape, dataset.classes)
    on_progress(
        Progress("data", 1, 1, f"{len(dataset.y_train)} to train, {len(dataset.y_test)} to test")
    )
    known = prepared_before(folder, dataset)
    costs = table_costs(settings, space, on_progress)
    mark = fingerprint(settings, dataset, space)
    if known is not None and known["fingerprint"] == mark:
        parts = [Parts(one, **bases) for one, bases in zip(costs, known["bases"], strict=True)]
        fits = Architecture.from_json(known["fits"])
        return Prepared(mark, dataset, space, costs, constrained(settings, parts), fits)
    parts = []
    for one in costs:
        stage = f"costs of networks on {one.name}"
        parts.append(fit_parts(space, one, settings.seed, reporting(on_progress, stage)))
    constraints = constrained(settings, parts)
    on_progress(Progress("budget", 0, 1, "a network that fits"))
    fits = feasible_network(space, constraints, settings.seed)
    on_progress(Progress("budget", 1, 1, "some network fits"))
    return Prepared(mark, dataset, space, costs, constraints, fits)


def keep(ready: Prepared, folder: Path) -> None:
    """Write RUN/prepared.json."""
    record = {
        "fingerprint": ready.mark,
        "data": ready.dataset.digest,
        "bases": [one.parts.bases for one in ready.constraints],
        "fits": ready.fits.to_json(),
    }
    write_json(folder / PREPARED, record)


def reporting(on_progress: OnProgress, stage: str) -> Callable[[int, int], None]:
    """Progress of a stage that only counts."""
    return lambda done, total: on_progress(Progress(stage, done, total))


def constrained(settings: SearchSettings, parts: list[Parts]) -> tuple[Constraint, ...]:
    boards = (require_board(load_target(name), "a search") for name in settings.targets)
    return tuple(
        Constraint(one, settings.budget(board)) for one, board in zip(parts, boards, strict=True)
    )


def prepared_before(folder: Path, dataset: Dataset) -> dict[str, Any] | None:
    """What an earlier run of this folder prepared; InputError if it was for other data."""
    path = folder / PREPARED
    if not path.exists():
        return None
    values = read_json(path)
    require_same(folder, values.get("data"), dataset.digest, dataset.name)
    return values


def require_same_data(settings: SearchSettings, folder: Path) -> None:
    """InputError if the file of the data has other contents than when the run began."""
    path, (kind, _, name) = folder / PREPARED, settings.data.partition(":")
    if kind == "npz" and path.exists() and Path(name).exists():
        arrays = read_npz(Path(name))
        known = {"x", "y"} <= arrays.keys()
        digest = digest_of_file(arrays) if known else ""
        require_same(folder, read_json(path).get("data"), digest, Path(name).stem)


def require_same(folder: Path, before: str | None, now: str, name: str) -> None:
    if before != now:
        raise InputError(
            f"{folder} holds a run on other contents of the same data set: {name} has changed "
            "since; choose another folder with -o"
        )


def fingerprint(settings: SearchSettings, dataset: Dataset, space: Space) -> str:
    """Of all that decides costs and the network that fits."""
    wishes = {name: value for name, value in stored(settings).items() if name not in EFFORT}
    parts = [json.dumps(wishes, sort_keys=True), space.spec, dataset.digest, compiler_digest()]
    parts += [load_target(name).definition for name in settings.targets]
    parts += [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in settings.tables]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def doubt_balance(settings: SearchSettings, dataset: Dataset) -> None:
    """A Doubt if the classes are unbalanced and nothing was chosen that allows for it."""
    found = balance(dataset)
    if hint := found.hint(settings.metric, settings.class_weights):
        warnings.warn(f"{found.text}; {hint}", Doubt, stacklevel=2)


def table_costs(
    settings: SearchSettings, space: Space, on_progress: OnProgress = lambda progress: None
) -> tuple[TableCosts, ...]:
    """The prices of each target; InputError if one is no microcontroller or a table lacks rows."""
    found: list[TableCosts] = []
    for target, path in zip(settings.targets, settings.tables, strict=True):
        on_progress(Progress("tables", len(found), len(settings.targets), path))
        board = require_board(load_target(target), "a search with a latency table")
        measured = LatencyTable.load(path)
        table = EstimatedTable(measured) if settings.allow_estimates else measured
        require_valid_for(table.header, table.path, board)
        require_keys(space, table, str(board.core.isa), target)
        found.append(TableCosts(table, board))
    on_progress(Progress("tables", len(found), len(found)))
    return tuple(found)
