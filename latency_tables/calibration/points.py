# SPDX-License-Identifier: Apache-2.0
"""Measured latencies beside what the emulator counted for them, and checks before a fit.

operator   its row of an emulated table
network    the rows of its operators, and the table's glue between them
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.opkey import OpKey, key_of
from tinytailor.compiler.project import load_project
from tinytailor.latency_tables.calibration.calibrate import Part, Point
from tinytailor.latency_tables.calibration.measured import Measured
from tinytailor.latency_tables.fit import Array, least_squares
from tinytailor.latency_tables.table.latency_table import LatencyTable
from tinytailor.latency_tables.table.origin import require_valid_for
from tinytailor.latency_tables.table.records import Measurement
from tinytailor.targets import Board
from tinytailor.targets.errors import InputError

PLAUSIBLE = 0.4, 8.0  # measured / counted cycles; on four boards 1.05 to 1.45 was seen
FEWEST_FOR_OUTLIERS = 5
OUTLIER = 1.3  # a ratio to the robust fit that is at least an outlier's
SPREADS = 6.0
ROBUST_ROUNDS = 60


def keys_of(measured: Sequence[Measured], board: Board) -> dict[Measured, tuple[OpKey, ...]]:
    """The operators of each measurement, in the order in which they run."""
    return {
        entry: (entry.what,) if isinstance(entry.what, OpKey) else _network(entry.what, board)
        for entry in measured
    }


def _network(folder: Path, board: Board) -> tuple[OpKey, ...]:
    project = load_project(folder)
    if project.target.name != board.name:
        raise InputError(f"{folder} was compiled for {project.target.name}, not for {board.name}")
    isa = str(board.core.isa)
    return tuple(key_of(node, project.graph, isa) for node in computing(project.graph))


def make_points(
    keys: dict[Measured, tuple[OpKey, ...]], table: LatencyTable, board: Board
) -> tuple[Point, ...]:
    """A point for each measurement, with the counts of ``table``; InputError if it lacks a row."""
    require_valid_for(table.header, table.path, board)
    glue = table.header.glue
    points = []
    for entry, operators in keys.items():
        parts = tuple(part_of(table[key]) for key in operators)
        between = 0
        if not isinstance(entry.what, OpKey):
            between = (glue.base + glue.per_node.times(len(parts))).core_cycles
        known = sum(board.latency.fetch_cycles(part.work.fetched) for part in parts)
        points.append(Point(entry.name, entry.cycles, parts, between, known))
    check_units(points, measured=tuple(keys), board=board)
    return tuple(points)


def part_of(row: Measurement) -> Part:
    return Part(row.key.kind, row.work, row.constant_bytes)


def check_units(points: Sequence[Point], measured: Sequence[Measured], board: Board) -> None:
    """InputError if measured and counted cycles differ by what only a wrong unit explains."""
    ratio = float(np.median([point.cycles / point.core_cycles for point in points]))
    low, high = PLAUSIBLE
    if low <= ratio <= high:
        return
    unit = measured[0].unit
    given = 1.0 if unit == "cycles" else board.clock_hz / 1e3
    units = {"cycles": 1.0, "microseconds": board.clock_hz / 1e6, "seconds": board.clock_hz / 1.0}
    units["milliseconds"] = board.clock_hz / 1e3
    guesses = [
        name
        for name, factor in units.items()
        if factor != given and low <= ratio / given * factor <= high
    ]
    hint = f"; as {' or '.join(guesses)} they would fit" if guesses else ", clock or core"
    raise InputError(
        f"the {unit} measured are {ratio:.5g} times the cycles counted on the emulated "
        f"{board.core.name}, expected {low} to {high}: the wrong unit{hint}"
    )


def find_outliers(points: Sequence[Point]) -> tuple[tuple[Point, float], ...]:
    """Points far from what the others agree on, with measured / expected.

    What they agree on is a fit of least absolute deviations, found by reweighting, of rows divided
    by counted cycles: a wrong measurement moves only its own value there, never its weight.
    """
    if len(points) < FEWEST_FOR_OUTLIERS:
        return ()
    counted = np.array([point.core_cycles for point in points], float)
    values = np.array([point.cycles - point.known_cycles for point in points]) / counted
    columns = _columns(points) / counted[:, None]
    weights = np.ones(len(points))
    for _ in range(ROBUST_ROUNDS):
        root = np.sqrt(weights)
        coefficients = least_squares(columns * root[:, None], values * root)
        weights = 1 / np.maximum(np.abs(columns @ coefficients - values), 1e-6 * values.mean())
    ratios = values / np.maximum(columns @ coefficients, 1e-9)
    spread = 1.4826 * float(np.median(np.abs(np.log(ratios))))
    limit = max(SPREADS * spread, float(np.log(OUTLIER)))
    return tuple(
        (point, float(ratio))
        for point, ratio in zip(points, ratios, strict=True)
        if abs(np.log(ratio)) > limit
    )


def _columns(points: Iterable[Point]) -> Array:
    return np.array(
        [
            (p.core_cycles, sum(part.work.flash_bytes for part in p.parts), len(p.parts))
            for p in points
        ],
        float,
    )
