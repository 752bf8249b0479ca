# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a table, found without measuring anything again.

    outlier        cycles per unit of work (neighbours.Point.units) more than OUTLIER times above or
                   below the median of up to NEAREST rows of the family whose sizes are near (within
                   a factor of 2^REACH over all sizes, in log2). Rows with fewer than FEWEST such
                   neighbours cannot be judged.
    not monotone   one size larger, all else equal, and cheaper by more than TOLERANCE. Kernels work
                   in blocks of 2, 4 and 16, so a size that divides better may well be cheaper: a
                   larger row that is better aligned (greatest common divisor with 16) counts only
                   if it has twice the work or more (AMENDS).
    missing        a key that was asked for has no row
    failure        a key could not be measured
    foreign        measured with another compiler, tool chain or board description than this tool's

Cycles are those that were counted: by the core's instruction timings, without the constants of any
board, or by a board. The limits were set on tables of the emulator: its rows pass, a row that is
off by 10x does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.table.latency_table import LatencyTable, describe
from tinytailor.latency_tables.table.neighbours import Point, families, points, size_of, steps

OUTLIER = 4.0
NEAREST, FEWEST = 8, 3
REACH = 3.0
TOLERANCE = 0.1
ALIGNMENT, AMENDS = 16, 2.0
MOST = 1000  # rows of a family that others are compared with, evenly spaced over its sizes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: what (see above), with which row, in words; ``values`` for programs."""

    what: str
    key: OpKey | None
    message: str
    values: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        key = self.key.to_json() if self.key else None
        return {"what": self.what, "key": key, "message": self.message, **self.values}


@dataclass(frozen=True, slots=True)
class Checked:
    """All findings; how many rows had neighbours enough to be judged, and steps of one size."""

    findings: tuple[Finding, ...]
    rows: int
    judged: int
    steps: int


def check_table(
    table: LatencyTable, wanted: Iterable[OpKey] = (), foreign: Iterable[Finding] = ()
) -> Checked:
    """``wanted``: keys that should have a row. ``foreign``: findings of origin.foreign."""
    groups = families(points(table.rows.counted_cycles()))
    findings = [*foreign, *_failures(table), *_missing(table, wanted)]
    judged = walked = 0
    for family in groups.values():
        found, count = _outliers(family)
        judged += count
        findings += found
        for name, smaller, larger in steps(family):
            walked += 1
            findings += _not_monotone(name, smaller, larger)
    return Checked(tuple(findings), len(table), judged, walked)


def _failures(table: LatencyTable) -> Iterator[Finding]:
    for failure in table.failures.values():
        message = f"{describe(failure.key)} could not be measured: {failure.message}"
        yield Finding("failure", failure.key, message, {})


def _missing(table: LatencyTable, wanted: Iterable[OpKey]) -> Iterator[Finding]:
    for key in sorted(set(wanted)):
        if key not in table and key not in table.failures:
            yield Finding("missing", key, f"{describe(key)} has no row", {})


def _outliers(family: list[Point]) -> tuple[list[Finding], int]:
    """Findings, and how many rows could be judged."""
    family = sorted(family, key=lambda item: item.sizes)
    places = np.log2(np.array([item.sizes for item in family], np.float32))
    cost = np.log2(np.array([max(item.cycles, 1e-9) / item.units for item in family]))
    others = np.arange(0, len(family), -(-len(family) // MOST))
    findings, judged = [], 0
    for start in range(0, len(family), MOST):
        rows = np.arange(start, min(start + MOST, len(family)))
        near, usual = _usual(places, cost, rows, others)
        judged += int(near.sum())
        off = cost[rows] - usual
        for i in np.flatnonzero(near & (np.abs(off) > np.log2(OUTLIER))):
            findings.append(_outlier(family[start + i], float(2 ** off[i])))
    return findings, judged


def _usual(
    places: np.ndarray, cost: np.ndarray, rows: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``rows``: whether ``others`` has neighbours of it, the median of their costs."""
    square = (places**2).sum(axis=1)
    distance = square[rows, None] + square[None, others] - 2 * places[rows] @ places[others].T
    distance[rows[:, None] == others[None, :]] = np.inf
    count = min(NEAREST, len(others) - 1)
    near, usual = np.zeros(len(rows), bool), np.zeros(len(rows))
    if count >= FEWEST:
        order = np.argpartition(distance, count - 1, axis=1)[:, :count]
        close = np.take_along_axis(distance, order, axis=1) <= REACH**2
        near = close.sum(axis=1) >= FEWEST
        costs = np.where(close, cost[others[order]], np.nan)
        usual[near] = np.nanmedian(costs[near], axis=1)
    return near, usual


def _outlier(item: Point, ratio: float) -> Finding:
    than = f"{ratio:.1f}x dearer" if ratio > 1 else f"{1 / ratio:.1f}x cheaper"
    message = (
        f"{describe(item.key)}: {item.cycles:.0f} cycles, {than} for its work than its neighbours"
    )
    return Finding("outlier", item.key, message, {"cycles": item.cycles, "ratio": ratio})


def _not_monotone(name: str, smaller: Point, larger: Point) -> Iterator[Finding]:
    a, b = size_of(smaller, name), size_of(larger, name)
    better = gcd(b, ALIGNMENT) > gcd(a, ALIGNMENT) and larger.units < AMENDS * smaller.units
    if better or larger.cycles >= (1 - TOLERANCE) * smaller.cycles:
        return
    message = (
        f"{describe(larger.key)}: {larger.cycles:.0f} cycles, fewer than the {smaller.cycles:.0f} "
        f"with {name} {a} instead of {b}"
    )
    values = {
        "size": name,
        "cycles": larger.cycles,
        "smaller": smaller.key.to_json(),
        "smaller_cycles": smaller.cycles,
    }
    yield Finding("not monotone", larger.key, message, values)
