# SPDX-License-Identifier: Apache-2.0
"""search: `tinytailor search` as a function, also of data in memory.

Arrays are written to OUT/data.npz first: there a search that was interrupted finds them again, and
`tinytailor verify` the test part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.api.arrays import Given, as_array
from tinytailor.api.projects import Project, load
from tinytailor.api.records import Profile, Values
from tinytailor.cli.output import rounded
from tinytailor.cli.report import PAGE
from tinytailor.cli.search import complaints, search_report
from tinytailor.cli.search_order import SearchOrder, understood
from tinytailor.cli.watch import SILENT, TERMINAL, told
from tinytailor.nas.data.npz import read_npz, write_npz
from tinytailor.nas.data.sources import COLUMNS, digest_of_file
from tinytailor.nas.progress import OnProgress
from tinytailor.nas.settings import DATA, check_run
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

Data = str | Path | tuple[Given, Given] | Mapping[str, Given]
MEASURES = {
    "latency": "10ms",
    "ram": "64KiB",
    "flash": "256KiB",
    "energy": "500uJ",
    "period": "1s",
    "battery": "220mAh@3V",
    "idle": "20uW",
}


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """What a search came to on one target: limits (None: none), what the table predicted, what the
    emitted project takes, and the project."""

    name: str
    budget: Values = field(repr=False)
    predicted: Values = field(repr=False)
    profile: Profile
    project: Project


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. ``accuracy`` is that of the integers on the test part, in 0..1, and
    ``scores`` all that report.json says of them: confusion, per_class, balanced_accuracy, macro_f1.

    ``folder`` is the RUN folder, ``model`` the ONNX file in it, ``report`` the page for a browser.
    """

    accuracy: float
    float_accuracy: float
    scores: Values = field(repr=False)
    targets: tuple[FoundTarget, ...]
    folder: Path
    model: Path
    report: Path
    values: Values = field(repr=False)

    @property
    def project(self) -> Project:
        """That of the first target."""
        return self.targets[0].project

    def to_json(self) -> dict[str, Any]:
        return dict(rounded(self.values))


def search(
    *,
    data: Data,
    target: str | Path | Sequence[str | Path],
    out: str | Path,
    latency: str | None = SearchOrder.latency,
    budget_sweep: str | None = SearchOrder.budget_sweep,
    ram: str | None = SearchOrder.ram,
    flash: str | None = SearchOrder.flash,
    energy: str | None = SearchOrder.energy,
    supply: str | None = SearchOrder.supply,
    period: str | None = SearchOrder.period,
    battery: str | None = SearchOrder.battery,
    idle: str | None = SearchOrder.idle,
    time: str | None = SearchOrder.time,
    space: str | None = SearchOrder.space,
    recipe: str | None = SearchOrder.recipe,
    supernet: Path | None = SearchOrder.supernet,
    algorithm: str = SearchOrder.algorithm,
    metric: str = SearchOrder.metric,
    class_weights: str = SearchOrder.class_weights,
    table: str | Path | Sequence[str | Path] | None = SearchOrder.table,
    allow_estimates: bool = SearchOrder.allow_estimates,
    name: str = SearchOrder.name,
    supernet_epochs: int | None = SearchOrder.supernet_epochs,
    evaluations: int | None = SearchOrder.evaluations,
    finalists: int | None = SearchOrder.finalists,
    trials: int | None = SearchOrder.trials,
    search_epochs: int | None = SearchOrder.search_epochs,
    trial_epochs: int | None = SearchOrder.trial_epochs,
    epochs: int | None = SearchOrder.epochs,
    quantized_epochs: int | None = SearchOrder.quantized_epochs,
    workers: int = SearchOrder.workers,
    seed: int = SearchOrder.seed,
    progress: bool | OnProgress = False,
) -> Found:
    """Find, train, quantize and compile the most accurate network within a budget.

    Arguments are the options of `tinytailor search`, with its words, defaults and checks
    (latency="10ms", ram="64KiB"; `target` and `table` may be sequences). ``data`` may also be
    arrays: (x, y), or a dict of what an .npz file would hold (x, y, split or subject, kind, lsb,
    rate, channels); they are kept as OUT/data.npz. ``out``: the RUN folder; the same call goes on
    there, or returns what it holds. ``progress``: True shows what the command does on stderr, a
    function is called with each `Progress`.

    InputError for what cannot be searched, before anything slow; BudgetError where no network
    fits, or an emitted project is over the budget; CheckError where one is not bit-exact.
    """
    given = locals() | {
        "data": _specification(data, Path(out)),
        "target": _joined(target),
        "out": Path(out),
        "table": None if table is None else _joined(table),
    }
    arrays = None if isinstance(data, str | Path) else _arrays(data)
    return _found(SearchOrder.of(given), arrays, progress)


def _found(
    order: SearchOrder, arrays: dict[str, np.ndarray] | None, progress: bool | OnProgress
) -> Found:
    for option in MEASURES:
        value = getattr(order, option)
        if not isinstance(value, str | None):
            example = MEASURES[option]
            raise InputError(f"{option}={value!r}: expected text with a unit, as {example!r}")
    if arrays is not None:
        check_run(order.out, understood(order).settings)
        _keep(arrays, order.out)
    watch = told(progress) if callable(progress) else TERMINAL if progress else SILENT
    report = search_report(order, watch)
    page = order.out / PAGE
    for error in complaints(report):
        raise type(error)(f"{error}; its report is {page}")
    return Found(
        accuracy=report["accuracy"]["integer"],
        float_accuracy=report["accuracy"]["float"],
        scores=report["scores"],
        targets=tuple(_target(one) for one in report["targets"]),
        folder=order.out,
        model=Path(report["files"]["model"]),
        report=page,
        values=report,
    )


def _target(one: Values) -> FoundTarget:
    profile, project = Profile.of(one["profile"]), load(one["project"])
    return FoundTarget(one["name"], one["budget"], one["predicted"], profile, project)


def _arrays(data: Data) -> dict[str, np.ndarray]:
    """x, y and what else there is, by these names."""
    if isinstance(data, tuple) and len(data) == 2:
        data = dict(zip(COLUMNS, data, strict=False))
    if not isinstance(data, Mapping):
        raise InputError(
            f"data is {type(data).__name__}, expected text as 'npz:FILE', arrays (x, y), or a dict "
            "of x, y and what else an .npz file may hold"
        )
    for key in data:
        if key not in COLUMNS:
            raise no_such(f"data has an array {key!r}", str(key), COLUMNS, label="it can have")
    missing = [key for key in COLUMNS[:2] if key not in data]
    if missing:
        raise InputError(f"data has no array {missing[0]}, expected x and y")
    return {key: as_array(array, f"data: array {key}") for key, array in data.items()}


def _specification(data: Data, out: Path) -> str:
    """In the words of --data."""
    if isinstance(data, str):
        return data
    return f"npz:{data if isinstance(data, Path) else out / DATA}"


def _keep(arrays: dict[str, np.ndarray], out: Path) -> None:
    """Write OUT/data.npz; InputError if it holds others."""
    path = out / DATA
    if path.exists():
        kept = read_npz(path)
        if kept.keys() != arrays.keys() or digest_of_file(kept) != digest_of_file(arrays):
            raise InputError(f"{path} holds other arrays; choose another out")
        return
    out.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays)


def _joined(values: str | Path | Sequence[str | Path]) -> str:
    """As the command line has several: with commas."""
    several = [values] if isinstance(values, str | Path) else values
    return ",".join(map(str, several))
