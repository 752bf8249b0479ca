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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from tinytailor.compiler.real_values import saturated
from tinytailor.compiler.training_record import TRAINING, TrainingRecord
from tinytailor.nas.choose import Chosen, choose
from tinytailor.nas.constraint import exact_excess
from tinytailor.nas.data import Dataset
from tinytailor.nas.data.balance import balance
from tinytailor.nas.data.npz import write_npz
from tinytailor.nas.final import TestPart, Trained, train_final
from tinytailor.nas.front.search import (
    kept_of_front,
)
from tinytailor.nas.network.onnx_file import export_onnx
from tinytailor.nas.network.quantized_network import QuantizedNetwork
from tinytailor.nas.network.topology import INPUT
from tinytailor.nas.prepare import Prepared, keep, prepare, require_same_data
from tinytailor.nas.progress import OnProgress, Progress
from tinytailor.nas.scores import accuracy
from tinytailor.nas.search.history import run_history
from tinytailor.nas.settings import SUPERNET, SearchSettings, check_run, check_settings, open_run
from tinytailor.nas.training.checkpoint import epochs_done
from tinytailor.targets.files import only_writer, read_json, write_json


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found; the same as result.json. Accuracies are on the test part, in 0..1.

    ``scores`` of the integers and ``float_scores`` are as `Scores.to_json`, ``balance`` is as
    `Balance.to_json` with a ``hint`` and the ``weights`` of the classes, or None. ``targets``:
    name, table, budget and predicted cost on each.
    """

    run: str
    model: str
    architecture: dict[str, Any]
    float_accuracy: float
    quantized_accuracy: float
    valid_accuracy: float
    scores: dict[str, Any]
    float_scores: dict[str, Any]
    balance: dict[str, Any]
    targets: list[dict[str, Any]]
    preprocessing: dict[str, Any]
    trials: list[dict[str, Any]]
    front: list[dict[str, Any]] = field(default_factory=list)
    effort: dict[str, Any] = field(default_factory=dict)
    use: dict[str, Any] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    protocol: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
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
    if check_run(folder, settings) and (result := recorded(finished)) is not None:
        require_same_data(settings, folder)
        return result
    clock = Clock()
    with threads(settings.threads):
        ready = prepare(settings, folder, on_progress)
        dataset, space = ready.dataset, ready.space
        open_run(folder, settings)
        keep(ready, folder)
        clock.lap("prepare")
        chosen = choose(settings, ready, folder, on_progress)
        write_json(folder / "architecture.json", chosen.architecture.to_json())
        clock.lap("search")
        topology = space.topology(chosen.architecture)

        def on_epoch(stage: str, done: int, total: int, loss: float) -> None:
            on_progress(Progress(stage, done, total, f"loss {loss:.3f}"))

        trained = train_final(
            settings, dataset, topology, chosen.recipe, folder, on_epoch, chosen.teacher
        )
        clock.lap("train")
        assert exact_excess(ready.constraints, topology) == 0
        result = _finish(settings, ready, chosen, trained, folder, clock)
        write_json(finished, result.to_json())
        return result


def recorded(path: Path) -> SearchResult | None:
    """result.json, or None if there is none or it lacks what is recorded by now; all that takes
    long is in other files then."""
    if not path.exists():
        return None
    values = read_json(path)
    known = {one.name for one in fields(SearchResult)}
    return SearchResult(**values) if values.keys() == known else None


def _finish(
    settings: SearchSettings,
    ready: Prepared,
    chosen: Chosen,
    trained: Trained,
    folder: Path,
    clock: Clock,
) -> SearchResult:
    """Export, price and report the trained network."""
    dataset, network = ready.dataset, trained.network
    found = balance(dataset)
    record = training_record(settings, dataset, network)
    metadata = {TRAINING: json.dumps(record.to_json())}
    export_onnx(network, folder / "model.onnx", dataset.name, metadata)
    write_test_part(trained.test, folder / "test.npz")
    targets = [
        {
            "name": one.name,
            "table": table,
            "budget": settings.budget(one.board).to_json(),
            "predicted": one.final(network.topology).to_json(),
        }
        for one, table in zip(ready.costs, settings.tables, strict=True)
    ]
    clock.lap("export")
    return SearchResult(
        run=settings.run,
        model=str(folder / "model.onnx"),
        architecture=chosen.architecture.to_json(),
        float_accuracy=accuracy(trained.float_scores),
        quantized_accuracy=accuracy(trained.scores),
        valid_accuracy=chosen.valid_accuracy,
        scores=trained.scores.to_json(),
        float_scores=trained.float_scores.to_json(),
        balance=found.to_json()
        | {
            "hint": found.hint(settings.metric, settings.class_weights),
            "weights": None if trained.weights is None else trained.weights.tolist(),
        },
        targets=targets,
        preprocessing={
            "mean": list(record.mean),
            "std": list(record.std),
            "input_scale": network.input.scale,
            "input_zero_point": network.input.zero_point,
            "class_names": list(record.classes),
            "saturated": record.saturated,
        },
        trials=chosen.trials,
        front=chosen.front,
        effort=chosen.effort,
        use=chosen.use,
        inputs=chosen.inputs,
        protocol=dataset.protocol,
        recipe=chosen.recipe.to_json(),
        history=run_history(folder, chosen.index),
        seconds=clock.laps,
    )


def training_record(
    settings: SearchSettings, dataset: Dataset, network: QuantizedNetwork
) -> TrainingRecord:
    """What the model file says of its training."""
    assert network.real is not None
    x, _ = dataset.all_train()
    placed = x.reshape(len(x), *network.topology.input_shape[1:])
    dtype = network.tensors[INPUT].dtype
    outside = saturated(placed, network.real, network.input.zero_point, dtype)
    return TrainingRecord(
        classes=dataset.class_names,
        labels=dataset.labels,
        mean=tuple(map(float, dataset.mean)),
        std=tuple(map(float, dataset.std)),
        saturated=float(outside.mean()),
        data=settings.data,
        digest=dataset.digest,
        seed=settings.seed,
    )


def write_test_part(test: TestPart, path: Path) -> None:
    """The test part as the device reads it: input int8 (N, H, W, C), output int8 logits, and class,
    the index of the right one."""
    arrays = {"input": test.inputs, "output": test.logits, "class": test.labels}
    write_npz(path, arrays)


def kept(settings: SearchSettings) -> str:
    """What RUN holds of a search that was interrupted, in words."""
    folder = Path(settings.run)
    if settings.algorithm == SUPERNET:
        parts = kept_of_front(folder)
    else:
        trials = len(list((folder / "trials").glob("*.json")))
        parts = [f"{trials} of {settings.trials} trials (one that was under way begins anew)"]
    for file, what in (("float.pt", "the final training"), ("quantized.pt", "the quantized one")):
        if done := epochs_done(folder / file):
            parts.append(f"{done} epochs of {what}")
    if (folder / "result.json").exists():
        parts.append("the trained network")
    return ", ".join(parts)


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
