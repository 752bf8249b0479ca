# SPDX-License-Identifier: Apache-2.0
"""A whole search: data, space, budget check, study, final training, int8, ONNX.

    settings = SearchSettings(data="ucr:BasicMotions", targets=("nucleo-f446re",),
                              tables=("table.jsonl",), run="run", latency_ms=2.0)
    result = search(settings, on_progress=print)

The RUN folder then holds settings.json, study.journal, trials/*.json, architecture.json, float.pt,
quantized.pt, history.json, model.onnx, test.npz and result.json, each whole or absent. Calling it
again with the same settings continues where it stopped; other settings are refused, and so is a
second process while one works on the folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinytailor.latency_tables import Budget, LatencyTable
from tinytailor.latency_tables.estimate import EstimatedTable
from tinytailor.latency_tables.table.origin import require_valid_for
from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.cost import TableCosts, fit_parts, require_keys
from tinytailor.nas.data import Dataset, load
from tinytailor.nas.network.float_network import FloatNetwork, as_input
from tinytailor.nas.network.onnx_file import export_onnx
from tinytailor.nas.network.quantized_network import QuantizedNetwork
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.search import ALGORITHMS, Problem
from tinytailor.nas.search.feasible import feasible_network
from tinytailor.nas.search.study import FinishedTrial, best_trial, run_study
from tinytailor.nas.spaces import SPACES, Architecture, Space, build_space
from tinytailor.nas.training.qat import QatNetwork, calibrate
from tinytailor.nas.training.train import Training, fit, score
from tinytailor.targets import Board, load_target, require_board
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import only_writer, read_json, write_atomically, write_json

IMAGE_SHIFT = 0.125  # 4 pixels of 32, as is usual for CIFAR-10


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
    space: str = "timeseries"
    latency_ms: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    algorithm: str = "dnas"
    quantizer: str = "int8"
    trials: int = 3
    search_epochs: int = 80
    trial_epochs: int = 60
    epochs: int = 150
    quantized_epochs: int = 50
    batch: int = 64
    valid_fraction: float = 0.25
    seed: int = 0
    threads: int = 1
    allow_estimates: bool = False  # of operators that the table lacks

    def budget(self, board: Board) -> Budget:
        """What a network may cost on ``board``."""
        return Budget(
            self.latency_ms,
            board.ram.bytes if self.ram_bytes is None else self.ram_bytes,
            board.flash.bytes if self.flash_bytes is None else self.flash_bytes,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` steps of ``stage``; ``text`` says more, such as the present loss."""

    stage: str
    done: int
    total: int
    text: str = ""


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found; the same as result.json. Accuracies are on the test part, in 0..1.

    ``targets``: name, table, budget and predicted cost on each.
    """

    run: str
    model: str
    architecture: dict[str, Any]
    float_accuracy: float
    quantized_accuracy: float
    valid_accuracy: float
    targets: list[dict[str, Any]]
    preprocessing: dict[str, Any]
    trials: list[dict[str, Any]]
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def search(
    settings: SearchSettings, *, on_progress: OnProgress = lambda progress: None
) -> SearchResult:
    """Run or continue the search; BudgetError if no network can fit, before anything is trained."""
    with only_writer(Path(settings.run)):
        return search_alone(settings, on_progress=on_progress)


def search_alone(settings: SearchSettings, *, on_progress: OnProgress) -> SearchResult:
    """The same for a caller that holds `only_writer` of the RUN folder."""
    check_settings(settings)
    folder = Path(settings.run)
    finished = folder / "result.json"
    clock = Clock()
    with threads(settings.threads):
        on_progress(Progress("prepare", 0, 1, "data, table and budget"))
        dataset = load(settings.data, settings.seed, settings.valid_fraction)
        space = build_space(settings.space, *dataset.shape, dataset.classes)
        costs = table_costs(settings, space)
        constraints = tuple(
            Constraint(fit_parts(space, one, settings.seed), settings.budget(one.board))
            for one in costs
        )
        fits = feasible_network(space, constraints, settings.seed)
        open_run(folder, settings)
        on_progress(Progress("prepare", 1, 1))
        if finished.exists():
            return SearchResult(**read_json(finished))
        clock.lap("prepare")
        trials = _study(settings, dataset, space, constraints, fits, folder, on_progress)
        best = best_trial(trials)
        write_json(folder / "architecture.json", best.architecture.to_json())
        clock.lap("search")
        topology = space.topology(best.architecture)
        trained = train_final(settings, dataset, topology, folder, on_progress)
        clock.lap("train")
        assert exact_excess(constraints, topology) == 0
        result = _finish(settings, dataset, costs, best, trials, trained, folder, clock)
        write_json(finished, result.to_json())
        return result


def check_settings(settings: SearchSettings) -> None:
    """InputError for unknown names and counts below 1."""
    names: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("search space", settings.space, SPACES),
        ("algorithm", settings.algorithm, ALGORITHMS),
        ("quantizer", settings.quantizer, QUANTIZERS),
    )
    for what, name, known in names:
        if name not in known:
            raise InputError(f"no {what} is called {name!r}; known: {', '.join(known)}")
    if not 0 < len(settings.targets) == len(settings.tables):
        raise InputError(
            f"{len(settings.targets)} targets and {len(settings.tables)} tables: expected one "
            "table for each target"
        )
    counts = ("trials", "search_epochs", "trial_epochs", "epochs", "quantized_epochs", "batch")
    for name in (*counts, "threads"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name} must be 1 or more, got {getattr(settings, name)}")
    if settings.search_epochs < 4:
        raise InputError(f"search_epochs must be 4 or more, got {settings.search_epochs}")
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")


def table_costs(settings: SearchSettings, space: Space) -> tuple[TableCosts, ...]:
    """The prices of each target; InputError if one is no microcontroller or a table lacks rows."""
    found = []
    for target, path in zip(settings.targets, settings.tables, strict=True):
        board = require_board(load_target(target), "a search with a latency table")
        measured = LatencyTable.load(path)
        table = EstimatedTable(measured) if settings.allow_estimates else measured
        require_valid_for(table.header, table.path, board)
        require_keys(space, table, str(board.core.isa), target)
        found.append(TableCosts(table, board))
    return tuple(found)


def open_run(folder: Path, settings: SearchSettings) -> None:
    """Make the RUN folder, or check that the one that is there was made with these settings."""
    mine = {k: v for k, v in asdict(settings).items() if k not in ("run", "threads")}
    mine = json.loads(json.dumps(mine))  # a tuple comes back as a list
    path = folder / "settings.json"
    if path.exists():
        theirs = read_json(path)
        differing = sorted(k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k))
        if differing:
            pairs = ", ".join(f"{k} {theirs.get(k)!r}, now {mine.get(k)!r}" for k in differing)
            raise InputError(
                f"{folder} holds a run with other settings: {pairs}; choose another folder with "
                "-o, or repeat the old settings to continue it"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not a RUN folder; choose another with -o")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, mine)


def _study(
    settings: SearchSettings,
    dataset: Dataset,
    space: Space,
    constraints: tuple[Constraint, ...],
    fits: Architecture,
    folder: Path,
    on_progress: OnProgress,
) -> tuple[FinishedTrial, ...]:
    problem = Problem(
        space,
        constraints,
        fits,
        as_input(dataset.x_train),
        torch.from_numpy(dataset.y_train),
        as_input(dataset.x_valid),
        torch.from_numpy(dataset.y_valid),
        settings.search_epochs,
        settings.batch,
    )

    def report(index: int, phase: str, done: int, total: int, figure: float) -> None:
        stage = f"trial {index + 1}/{settings.trials}: {phase}"
        on_progress(Progress(stage, done, total, f"{figure:.3f}"))

    return run_study(
        problem,
        ALGORITHMS[settings.algorithm],
        trials=settings.trials,
        training=replace(
            base_training(dataset), epochs=settings.trial_epochs, batch=settings.batch
        ),
        seed=settings.seed,
        folder=folder,
        on_step=report,
    )


def base_training(dataset: Dataset) -> Training:
    """How samples of this kind are augmented: images move along both sides, and further."""
    images = len(dataset.shape) == 3
    return Training(shift=IMAGE_SHIFT, shift_axes=(2, 3)) if images else Training()


@dataclass(frozen=True, slots=True)
class Trained:
    """The final network: float accuracy on the test part, and the integers with theirs."""

    float_accuracy: float
    quantized_accuracy: float
    network: QuantizedNetwork


def train_final(
    settings: SearchSettings,
    dataset: Dataset,
    topology: Topology,
    folder: Path,
    on_progress: OnProgress,
) -> Trained:
    """Float training on all training samples, then quantization-aware training; both resumable."""
    series, labels = dataset.all_train()
    x, y = as_input(series), torch.from_numpy(labels)
    x_test, y_test = as_input(dataset.x_test), torch.from_numpy(dataset.y_test)

    def report(stage: str) -> Callable[[int, int, float], None]:
        return lambda done, total, loss: on_progress(
            Progress(stage, done, total, f"loss {loss:.3f}")
        )

    generator = torch.Generator().manual_seed(2_000_003 * (settings.seed + 1))
    network = FloatNetwork(topology, generator)
    training = replace(base_training(dataset), epochs=settings.epochs, batch=settings.batch)
    float_losses = fit(
        network, x, y, training, generator, checkpoint=folder / "float.pt", on_epoch=report("train")
    )
    quantizer = QUANTIZERS[settings.quantizer]
    folded = network.folded()
    activations = calibrate(topology, folded, x, quantizer)
    integer = QatNetwork(topology, folded, activations, quantizer)
    fine = replace(training, epochs=settings.quantized_epochs, learning_rate=1e-3, weight_decay=0.0)
    generator.manual_seed(3_000_017 * (settings.seed + 1))
    losses = fit(
        integer,
        x,
        y,
        fine,
        generator,
        checkpoint=folder / "quantized.pt",
        on_epoch=report("quantize"),
    )
    write_json(folder / "history.json", {"float_loss": float_losses, "quantized_loss": losses})
    return Trained(
        score(network, x_test, y_test).accuracy,
        score(integer, x_test, y_test).accuracy,
        integer.quantized(),
    )


def _finish(
    settings: SearchSettings,
    dataset: Dataset,
    costs: tuple[TableCosts, ...],
    best: FinishedTrial,
    trials: tuple[FinishedTrial, ...],
    trained: Trained,
    folder: Path,
    clock: Clock,
) -> SearchResult:
    """Export, price and report the trained network."""
    network = trained.network
    preprocessing = {
        "mean": dataset.mean.tolist(),
        "std": dataset.std.tolist(),
        "input_scale": network.input.scale,
        "input_zero_point": network.input.zero_point,
        "class_names": list(dataset.class_names),
    }
    metadata = {key: json.dumps(value) for key, value in preprocessing.items()}
    export_onnx(network, folder / "model.onnx", dataset.name, metadata)
    write_test_part(network, dataset, folder / "test.npz")
    targets = [
        {
            "name": one.name,
            "table": table,
            "budget": asdict(settings.budget(one.board)),
            "predicted": one.final(network.topology).to_json(),
        }
        for one, table in zip(costs, settings.tables, strict=True)
    ]
    clock.lap("export")
    return SearchResult(
        run=settings.run,
        model=str(folder / "model.onnx"),
        architecture=best.architecture.to_json(),
        float_accuracy=trained.float_accuracy,
        quantized_accuracy=trained.quantized_accuracy,
        valid_accuracy=best.accuracy,
        targets=targets,
        preprocessing=preprocessing,
        trials=[trial.to_json() for trial in trials],
        seconds=clock.laps,
    )


def write_test_part(network: QuantizedNetwork, dataset: Dataset, path: Path) -> None:
    """The test part as the device reads it: input int8 (N, H, W, C), output int8 logits, labels."""
    x = network.quantize_input(dataset.x_test)
    y, label = network.run(x), dataset.y_test
    write_atomically(path, lambda file: np.savez(file, input=x, output=y, label=label))


class Clock:
    """Seconds of each stage of this process; a resumed run counts what it did itself."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = round(now - self._last, 3)
        self._last = now


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
