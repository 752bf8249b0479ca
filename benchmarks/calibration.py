# SPDX-License-Identifier: Apache-2.0
"""How many measured operators a calibration needs, and how wrong estimates of operators are.

No board was measured here. The emulated counts of real operators (the time-series space with the
channel widths of its paper, so that weights reach beyond a cache) are turned into measurements by
the published constants of three boards and 2 % of lognormal noise for each operator, the residual
that was seen between measured boards and such models. What is shown is what the method loses to
noise and to few points; what a real board adds is not.

    python benchmarks/calibration.py [--folder build/calibration] [--draws 100] > page.md
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinytailor.latency_tables import LatencyTable, Measurement
from tinytailor.latency_tables.calibration.calibrate import (
    Data,
    Fitted,
    Model,
    Part,
    Point,
    compare,
    fit_model,
)
from tinytailor.latency_tables.calibration.plan import propose
from tinytailor.latency_tables.estimate import TARGETS, columns, family, features
from tinytailor.latency_tables.fit import Errors, cross_validated, fit, relative_errors
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.nas.spaces import Space
from tinytailor.nas.spaces.micronas import micronas_space
from tinytailor.targets import Board, cross_toolchain, load_target, require_board

SPACE = micronas_space(100, 6, 4, fusion_channels=(8, 16, 32, 48, 64))
DEFAULT = micronas_space(100, 6, 4)
# board whose constants are taken as true, board whose operators are counted (same core)
BOARDS = (
    ("nucleo-f446re", "nucleo-f446re"),
    ("nicla-sense-me", "nucleo-f446re"),
    ("nucleo-l552ze-q", "nucleo-l552ze-q"),
)
NOISE = 0.02
COUNTS = (3, 5, 10, 20)


def board(name: str) -> Board:
    return require_board(load_target(name), "calibrating")


def table(name: str, space: Space, path: Path) -> LatencyTable:
    one = board(name)
    return measure(space.keys(str(one.core.isa)), one, cross_toolchain(), path)


def points(rows: Sequence[Measurement], truth: Board, rng: np.random.Generator) -> list[Point]:
    found = []
    for row in rows:
        cycles = row.work.operator_cycles(truth.latency, row.constant_bytes)
        part = Part(row.key.kind, row.work, row.constant_bytes)
        known = truth.latency.fetch_cycles(row.work.fetched)
        noisy = cycles * float(np.exp(rng.normal(0, NOISE)))
        found.append(Point(row.key.text, noisy, (part,), known_cycles=known))
    return found


def test_error(fitted: Fitted, every: Sequence[Point], chosen: set[int]) -> float:
    data = Data(tuple(every), (fitted.sizes,) if fitted.sizes else ())
    rest = np.array([i for i in range(len(every)) if i not in chosen])
    return float(np.abs(fitted.errors(data, rest)).mean())


def draw(
    rows: Sequence[Measurement], truth: Board, count: int, seed: int, planned: bool
) -> tuple[float, Model]:
    """Error on the operators that were not measured, and the model that was taken."""
    rng = np.random.default_rng(seed)
    every = points(rows, truth, rng)
    if planned:
        place = {row.key: i for i, row in enumerate(rows)}
        chosen = [place[row.key] for row in propose(rows, count)]
    else:
        chosen = [int(i) for i in rng.permutation(len(rows))[:count]]
    data = Data.of([every[i] for i in chosen])
    model, _ = compare(data, np.arange(count), rng)
    fitted = fit_model(model, data, np.arange(count))
    return test_error(fitted, every, set(chosen)), model


def calibration_lines(tables: dict[str, LatencyTable], draws: int) -> Iterator[str]:
    yield "| constants of | operators | choice | mean error, median draw | 90 % draw | models |"
    yield "| --- | ---: | --- | ---: | ---: | --- |"
    for name, counted in BOARDS:
        rows = [tables[counted][key] for key in sorted(tables[counted])]
        for count in COUNTS:
            for planned in (False, True):
                results = [draw(rows, board(name), count, seed, planned) for seed in range(draws)]
                errors = 100 * np.array([error for error, _ in results])
                taken = Counter(model.text for _, model in results).most_common(2)
                text = ", ".join(f"{model} ({n})" for model, n in taken)
                how = "--plan" if planned else "random"
                low, high = np.median(errors), np.quantile(errors, 0.9)
                yield f"| {name} | {count} | {how} | {low:.2f} % | {high:.2f} % | {text} |"


def estimate_lines(one: LatencyTable, wide: LatencyTable) -> Iterator[str]:
    """Convolutions of the default space left out in turn, then those of other widths."""
    rows = [one[key] for key in sorted(one) if family(key) == "conv2d"]
    names = list(features(rows[0].key, 0))
    matrix = columns(rows)
    yield "| count | MACs alone | MACs + constant | all terms |"
    yield "| --- | ---: | ---: | ---: |"
    for target in TARGETS:
        values = np.array([getattr(row, target) for row in rows], float)
        cells = []
        for terms in (("macs",), ("macs", "constant"), tuple(names)):
            used = matrix[:, [names.index(term) for term in terms]]
            cells.append(percent(cross_validated(used, values, np.random.default_rng(0))))
        yield f"| {target} | {' | '.join(cells)} |"
    yield ""
    others = [wide[key] for key in sorted(wide) if key not in one and family(key) == "conv2d"]
    values = np.array([row.core_cycles for row in rows], float)
    truth = np.array([row.core_cycles for row in others], float)
    for name, terms in (("MACs alone", ["macs"]), ("all terms", names)):
        used = [names.index(term) for term in terms]
        found = fit(matrix[:, used], values)
        errors = relative_errors(columns(others)[:, used], found, truth)
        yield f"Fitted on {len(rows)}, tested on {len(others)} others, {name}: {percent(errors)}"


def percent(errors: np.ndarray) -> str:
    """Mean, 90th percentile and worst."""
    error = Errors.of(errors)
    return " / ".join(f"{100 * value:.1f}" for value in (error.mean, error.p90, error.worst)) + " %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/calibration"))
    parser.add_argument("--draws", type=int, default=100)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    wide = {name: table(name, SPACE, folder / f"{name}-wide.jsonl") for _, name in BOARDS}
    one = table(BOARDS[0][1], DEFAULT, folder / f"{BOARDS[0][1]}.jsonl")
    for line in calibration_lines(wide, arguments.draws):
        print(line, flush=True)
    print()
    for line in estimate_lines(one, wide[BOARDS[0][1]]):
        print(line)


if __name__ == "__main__":
    main()
