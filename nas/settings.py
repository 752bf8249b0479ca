# SPDX-License-Identifier: Apache-2.0
"""What a search is asked for, and the RUN folder that holds it.

A folder belongs to the settings it was begun with: others are refused, so that nothing that was
trained is mixed up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from tinytailor.latency_tables import Budget
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.scores import METRICS
from tinytailor.nas.search import ALGORITHMS
from tinytailor.nas.spaces import space_kind
from tinytailor.nas.training.class_weights import CLASS_WEIGHTS
from tinytailor.targets import Board, load_target, require_board
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import read_json, write_json
from tinytailor.targets.names import no_such

SETTINGS = "settings.json"
SUPERNET = "supernet"  # the algorithm of nas/front; the others propose a network a trial
COUNTS = (
    "folds",
    "supernet_epochs",
    "evaluations",
    "finalists",
    "trials",
    "search_epochs",
    "trial_epochs",
    "epochs",
    "quantized_epochs",
    "batch",
    "threads",
)
DATA = "data.npz"  # what a caller gave as arrays; it may be there before a run begins


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What decides the outcome, except ``run`` (where it goes) and ``threads`` (how fast).

    One network is found for all ``targets``, each priced by the table at its place in ``tables``.
    Limits hold on every target; memory that is not limited is limited by the board.
    """

    data: str
    targets: tuple[str, ...]
    tables: tuple[str, ...]
    run: str
    space: str = "series"
    latency_ms: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    energy_uj: float | None = None
    supply: str | None = None  # supply configuration of the board; None: its default one
    algorithm: str = SUPERNET
    quantizer: str = "int8"
    metric: str = "accuracy"  # on the validation part; decides between trials
    class_weights: str = "none"  # in the loss of every training
    recipe: str | None = None  # None: that of the data
    supernet: str | None = None  # the RUN folder whose shared networks are used
    time_s: float | None = None  # of the whole job, turned into counts when it begins
    folds: int | None = None  # of the shared networks; these counts are as Effort has them
    supernet_epochs: int | None = None
    evaluations: int | None = None
    finalists: int | None = None
    trials: int = 3  # of the algorithms that propose a network in each
    search_epochs: int = 80
    trial_epochs: int = 60
    epochs: int | None = None  # None: those of the recipe
    quantized_epochs: int | None = None
    batch: int | None = None
    valid_fraction: float = 0.25
    seed: int = 0
    threads: int = 1
    allow_estimates: bool = False  # of operators that the table lacks

    def budget(self, board: Board) -> Budget:
        """What a network may cost on ``board``; InputError where a limit of energy needs a power
        that is not known."""
        powered = self.energy_uj is not None or self.supply is not None
        return Budget(
            self.latency_ms,
            board.ram.bytes if self.ram_bytes is None else self.ram_bytes,
            board.flash.bytes if self.flash_bytes is None else self.flash_bytes,
            self.energy_uj,
            board.power(self.supply).active_mw if powered else None,
        )


def check_settings(settings: SearchSettings) -> None:
    """InputError for unknown names, counts below 1, and a limit of energy without a power."""
    names: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("algorithm", settings.algorithm, (SUPERNET, *ALGORITHMS)),
        ("quantizer", settings.quantizer, QUANTIZERS),
        ("metric", settings.metric, METRICS),
        ("kind of class weights", settings.class_weights, CLASS_WEIGHTS),
    )
    for what, name, known in names:
        if name not in known:
            raise no_such(f"no {what} is called {name!r}", name, tuple(known))
    space_kind(settings.space)
    if not 0 < len(settings.targets) == len(settings.tables):
        raise InputError(
            f"{len(settings.targets)} targets and {len(settings.tables)} tables: expected one "
            "table for each target"
        )
    for name in COUNTS:
        count = getattr(settings, name)
        least = 0 if name == "quantized_epochs" else 1
        if count is not None and count < least:
            raise InputError(f"{name} must be {least} or more, got {count}")
    shared = ("folds", "supernet_epochs")
    if settings.supernet is not None and any(getattr(settings, name) for name in shared):
        raise InputError(
            f"folds and supernet_epochs are those of {settings.supernet}, whose shared networks "
            "are used; leave them out"
        )
    if settings.time_s is not None and not settings.time_s > 0:
        raise InputError(f"the time of a search must be above 0, got {settings.time_s:g} s")
    if settings.search_epochs < 4:
        raise InputError(f"search_epochs must be 4 or more, got {settings.search_epochs}")
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    for target in settings.targets:  # refuses a limit of energy without a known power
        settings.budget(require_board(load_target(target), "a search with a latency table"))


def open_run(folder: Path, settings: SearchSettings) -> None:
    """Make the RUN folder, or check that the one that is there was made with these settings."""
    if not check_run(folder, settings):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / SETTINGS, stored(settings))


def stored(settings: SearchSettings) -> dict[str, object]:
    """What settings.json holds of them."""
    mine = {k: v for k, v in asdict(settings).items() if k not in ("run", "threads")}
    values: dict[str, object] = json.loads(json.dumps(mine))  # a tuple comes back as a list
    return values


def check_run(folder: Path, settings: SearchSettings) -> bool:
    """Whether a run with these settings is there; InputError if something else is."""
    path, mine = folder / SETTINGS, stored(settings)
    if path.exists():
        defaults = {f.name: f.default for f in fields(settings) if f.default is not MISSING}
        theirs = {k: defaults[k] for k in mine if k in defaults} | read_json(path)
        differing = sorted(k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k))
        if differing:
            pairs = ", ".join(f"{k} {theirs.get(k)!r}, now {mine.get(k)!r}" for k in differing)
            raise InputError(
                f"{folder} holds a run with other settings: {pairs}; choose another folder with "
                "-o, or repeat the old settings to continue it"
            )
        return True
    if folder.exists() and (not folder.is_dir() or {p.name for p in folder.iterdir()} - {DATA}):
        raise InputError(f"{folder} exists and is not a RUN folder; choose another with -o")
    return False
