#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What weights of the classes do to accuracy, balanced accuracy and macro-F1, on real data.

usage: python benchmarks/class_weights.py [--seeds 3] [--data FOLDER] [--again]

Two unbalanced sets of series, people in the test part who are in no other: heartbeats of MIT-BIH
(de Chazal's split of the patients) and windows of an accelerometer that HAPT labels with six
activities and six transitions between postures. One network of the search space is trained and
quantized as at the end of a search, with each kind of weights. A seed draws samples, people (HAPT)
and initial weights, so that kinds are compared within it. Results are kept in class_weights.json
after every training; what is there is not trained again. A seed takes about a minute of one core.
Prints the table of docs/own-data.md, over all seeds in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "class_weights.json"
MOST = 2000  # series of either part
EFFORT = {"epochs": 20, "quantized_epochs": 4}
KINDS = ("none", "balanced", "effective")
TITLES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
WINDOW = 128  # samples of HAPT at 50 Hz
ACTIVITIES = (
    *("walking", "upstairs", "downstairs", "sitting", "standing", "laying"),
    *("stand to sit", "sit to stand", "sit to lie", "lie to sit", "stand to lie", "lie to stand"),
)

Parts = dict[str, np.ndarray]  # x_train, y_train, x_test, y_test


def heartbeats(folder: Path, rng: np.random.Generator) -> Parts:
    """(N, 128, 2) of two leads, classes N, S, V, F."""
    stored = np.load(folder / "mitbih" / "mitbih_beats.npz")
    chosen = {part: rng.permutation(len(stored[f"y_{part}"]))[:MOST] for part in ("train", "test")}
    return {
        f"{a}_{part}": stored[f"{a}_{part}"][rows] for part, rows in chosen.items() for a in "xy"
    }


def movements(folder: Path, rng: np.random.Generator) -> Parts:
    """(N, 128, 3) in g: windows of activities, and one in the middle of each transition."""
    stored = np.load(folder / "uci_har" / "hapt_raw.npz")
    experiments, offsets = list(stored["experiment"]), stored["offset"]
    recorded = stored["raw"][:, :3]
    x, y, users = [], [], []
    for experiment, user, activity, first, last in stored["labels"]:
        at = experiments.index(experiment)
        begin, end = offsets[at : at + 2]
        starts = range(begin + first, begin + last - WINDOW + 1, WINDOW)
        if activity > 6:
            starts = [begin + (first + last - WINDOW) // 2]
        for start in starts:
            if begin <= start <= end - WINDOW:
                x.append(recorded[start : start + WINDOW])
                y.append(activity - 1)
                users.append(user)
    series, labels = np.array(x) * np.float32(stored["acc_lsb_g"]), np.array(y)
    people = rng.permutation(np.unique(users))
    tested = np.isin(users, people[: len(people) // 3])
    train, test = (rng.permutation(np.flatnonzero(rows))[:MOST] for rows in (~tested, tested))
    return {
        "x_train": series[train],
        "y_train": labels[train],
        "x_test": series[test],
        "y_test": labels[test],
    }


SETS: dict[str, tuple[str, tuple[str, ...], Callable[[Path, np.random.Generator], Parts]]] = {
    "mitbih": ("MIT-BIH heartbeats", ("N", "S", "V", "F"), heartbeats),
    "hapt": ("HAPT, accelerometer", ACTIVITIES, movements),
}


def train(data: str, folder: Path, kind: str, seed: int) -> dict[str, Any]:
    """Metrics of the integers on the test part, and the samples of each class in training."""
    from tinytailor.nas.data.dataset import Raw, prepare
    from tinytailor.nas.final import train_final
    from tinytailor.nas.recipes import load_recipe
    from tinytailor.nas.run import SearchSettings, threads
    from tinytailor.nas.scores import metric_values
    from tinytailor.nas.spaces import build_space

    _, names, read = SETS[data]
    parts = read(folder, np.random.default_rng(seed))
    dataset = prepare(Raw(data, data, class_names=names, **parts), seed, 0.25)
    space = build_space("micronas", *dataset.shape, dataset.classes)
    network = space.topology(space.sample(np.random.default_rng(1)))
    settings = SearchSettings(data, "", "", "", class_weights=kind, seed=seed, **EFFORT)
    with tempfile.TemporaryDirectory() as name, threads(1):
        recipe = load_recipe("series").fitted(2 * MOST, EFFORT["epochs"], 64)
        trained = train_final(settings, dataset, network, recipe, Path(name), lambda *epoch: None)
    counts = np.bincount(dataset.all_train()[1])
    return {**metric_values(trained.scores), "trained": counts.tolist()}


def table(results: dict[str, Any]) -> str:
    """Markdown: mean and standard deviation over seeds in percent, and the mean difference."""
    lines = [
        "| data, largest to smallest class | weights | " + " | ".join(TITLES.values()) + " |",
        "| --- | --- " + "| --- " * len(TITLES) + "|",
    ]
    for data, (title, _, _) in SETS.items():
        for kind in KINDS:
            runs, plain = (_runs(results, data, which) for which in (kind, KINDS[0]))
            counts = np.sum([run["trained"] for run in plain.values()], axis=0)
            first = f"{title}, {counts.max() / counts.min():.0f} : 1" if kind == KINDS[0] else ""
            cells = [_cell(key, runs, None if runs == plain else plain) for key in TITLES]
            lines.append(f"| {first} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _runs(results: dict[str, Any], data: str, kind: str) -> dict[str, Any]:
    """By seed."""
    found = (key.split("/") for key in results)
    return {seed: results[f"{d}/{k}/{seed}"] for d, k, seed in found if (d, k) == (data, kind)}


def _cell(key: str, runs: dict[str, Any], plain: dict[str, Any] | None) -> str:
    values = [100 * run[key] for run in runs.values()]
    text = f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f} %"
    if plain is None:
        return text
    gains = [100 * (runs[seed][key] - plain[seed][key]) for seed in runs]
    return f"{text} ({statistics.mean(gains):+.1f} ± {statistics.stdev(gains):.1f})"


def main() -> int:
    from tinytailor.targets.files import read_json, write_json

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TINYTAILOR_DATA", HERE.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--again", action="store_true", help="forget what was trained before")
    arguments = parser.parse_args()
    effort = {**EFFORT, "series": MOST}
    kept = read_json(RESULTS) if RESULTS.exists() and not arguments.again else {}
    results = kept["results"] if kept.get("effort") == effort else {}
    for seed in range(arguments.seeds):
        for data in SETS:
            for kind in KINDS:
                key = f"{data}/{kind}/{seed}"
                if key not in results:
                    results[key] = train(data, arguments.data, kind, seed)
                    write_json(RESULTS, {"effort": effort, "results": results})
                    shown = {k: round(100 * results[key][k], 1) for k in TITLES}
                    print(key, json.dumps(shown), file=sys.stderr, flush=True)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
