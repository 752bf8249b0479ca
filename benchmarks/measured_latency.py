#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The latency models of boards against times that others measured there, of other code than ours.

usage: python benchmarks/measured_latency.py [--data FOLDER]

    adds       residual additions (CMSIS-NN of 2022, -Ofast), measured one by one by the authors of
               MicroNAS on three boards; the code counted on this project's emulator
    layers     29 layers of a MobileNetV1 (CMSIS-NN) on an STM32H743 at 400 MHz, published by
               EEESlab; the code counted likewise
    networks   the C that microTVM generated for MLPerf Tiny v1.0 with CMSIS-NN, counted in a study
               of its own, against the times of that submission

The first two are read from FOLDER/latency, whose README says more. The page docs/board-model.md has
what comes out, with the constants of the board files as they are and as they were before code that
is fetched again and the M7's caches had terms.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.latency_tables.fit import Array, fit, relative_errors
from tinytailor.targets import FETCH_CACHES, Board, LatencyModel, load_target

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ADDS, LAYERS = "adds.csv", "m7_h743_layers.csv"
LAYERS_BOARD = "nucleo-h743zi"

# The loop of the additions handles four elements. Its bytes are those of a stand-in, the loop of
# Arm's source with the requantization of 2022 written anew, by GCC 12.2 -Ofast on the emulator: 319
# instructions an iteration, which makes 0.3 % more in all than the counts in the data, in 882 bytes
# of lines of 16, which is what a cache of 256 bytes fetches again. All that the measured code
# executes is taken to be fetched again by a cache of 1 KiB, since its loop is said to be 1.2 KiB;
# the stand-in would nearly fit.
FETCHED_PER_INSTRUCTION = 882 / 319
LOOP_BYTES = 1_200

# Before: no term for code that is fetched again, and none for the flash of the M7.
EARLIER: Mapping[str, Mapping[str, float]] = {
    "nucleo-f446re": {"core": 1.31},
    "nicla-sense-me": {"core": 1.083, "flash_load": 3.15, "per_operator": 1_630},
    "nucleo-h743zi": {"core": 1.0},
    "nucleo-l4r5zi": {"core": 1.0, "flash_byte": 1.0},
    "nrf5340dk": {"core": 1.0, "flash_byte": 0.35},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured piece of code, and what was counted of it."""

    board: str
    name: str
    cycles: float
    core_cycles: int
    flash_bytes: int
    weight_bytes: int = 0
    fetched: tuple[int, ...] = ()

    def modelled(self, model: LatencyModel) -> float:
        """Cycles. Loads from flash were not counted: the only board with a term for them ran code
        that reads none."""
        return model.cycles(self.core_cycles, 0, self.flash_bytes, self.weight_bytes, self.fetched)


# MLPerf Tiny v1.0: million core cycles, million bytes read from flash (rounded), milliseconds
_NETWORKS: Mapping[str, Sequence[tuple[str, float, float, float]]] = {
    "nucleo-l4r5zi": (
        ("kws", 10.11, 2.17, 99.81),
        ("vww", 29.79, 6.06, 301.2),
        ("ic", 38.26, 7.11, 389.6),
        ("ad", 0.765, 0.272, 8.605),
    ),
    "nrf5340dk": (
        ("kws", 9.18, 2.17, 76.09),
        ("vww", 27.47, 6.06, 232.0),
        ("ic", 35.2, 7.11, 316.2),
        ("ad", 0.709, 0.272, 6.266),
    ),
}


def board_of(name: str) -> Board:
    board = load_target(name)
    assert isinstance(board, Board)
    return board


def earlier(name: str) -> LatencyModel:
    """The model of a board before; its own where nothing changed."""
    model = board_of(name).latency
    if name not in EARLIER:
        return model
    kept = {"source": "", "calibrated": model.calibrated, "cache_bytes": None}
    none = {"flash_load": 0.0, "flash_byte": 0.0, "flash_byte_beyond_cache": 0.0}
    return LatencyModel(**{**none, "per_operator": 0.0, **kept, **EARLIER[name]})


def networks() -> list[Measured]:
    found = []
    for name, rows in _NETWORKS.items():
        mhz = board_of(name).clock_hz / 1e6
        for net, core, read, ms in rows:
            found.append(Measured(name, net, ms * mhz * 1e3, round(core * 1e6), round(read * 1e6)))
    return found


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "latency" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def adds(folder: Path) -> list[Measured]:
    found = []
    for row in _rows(folder, ADDS):
        fetched = round(int(row["instructions"]) * FETCHED_PER_INSTRUCTION)
        found.append(
            Measured(
                row["board"],
                "x".join(row[size] for size in "hwc"),
                float(row["measured_cycles"]),
                int(row["core_cycles"]),
                int(row["flash_bytes"]),
                fetched=tuple(fetched for size in FETCH_CACHES if size < LOOP_BYTES),
            )
        )
    return found


def layers(folder: Path) -> list[Measured]:
    return [
        Measured(
            LAYERS_BOARD,
            row["kind"],
            float(row["measured_cycles"]),
            int(row["core_cycles"]),
            int(row["flash_bytes"]),
            int(row["weight_bytes"]),
        )
        for row in _rows(folder, LAYERS)
    ]


def fitted(
    rows: Sequence[Measured], model: LatencyModel, constant: str
) -> tuple[float, Callable[[Sequence[Measured]], Array]]:
    """``constant`` of least squared relative error, the others as they are; errors with it."""

    def parts(some: Sequence[Measured]) -> tuple[Array, Array, Array]:
        none, one = (replace(model, **{constant: value}) for value in (0.0, 1.0))
        known = np.array([row.modelled(none) for row in some])
        column = np.array([[row.modelled(one)] for row in some]) - known[:, None]
        return column, np.array([row.cycles for row in some]), known

    column, cycles, known = parts(rows)
    found = fit(column, cycles, known)

    def errors(some: Sequence[Measured]) -> Array:
        column, cycles, known = parts(some)
        return relative_errors(column, found, cycles, known)

    return float(found[0]), errors


def left_out(rows: Sequence[Measured], model: LatencyModel, constant: str) -> list[float]:
    """Error on each row with the constant fitted on the others."""
    return [
        float(fitted([*rows[:i], *rows[i + 1 :]], model, constant)[1]([row])[0])
        for i, row in enumerate(rows)
    ]


def errors(rows: Iterable[Measured], model: LatencyModel) -> list[float]:
    return [row.modelled(model) / row.cycles - 1 for row in rows]


def summary(rows: Sequence[Measured]) -> dict[str, Any]:
    """Rows of one board, before and now, in percent: mean, worst, and of the sum."""
    name = rows[0].board
    record: dict[str, Any] = {"board": name, "count": len(rows)}
    for when, model in (("before", earlier(name)), ("now", board_of(name).latency)):
        found = np.array(errors(rows, model))
        total = sum(row.modelled(model) for row in rows) / sum(row.cycles for row in rows) - 1
        numbers = np.abs(found).mean(), found[np.argmax(np.abs(found))], total
        record[when] = [round(100 * float(value), 1) for value in numbers]
    return record


def compared(folder: Path) -> dict[str, Any]:
    """All that the page says of measurements, as JSON values."""
    additions, mobile, nets = adds(folder), layers(folder), networks()
    by_kind = {f"{kind}, {size}": rows for kind, size, rows in _kinds(mobile)}
    return {
        "adds": [summary(rows) for rows in by_board(additions)],
        "layers": {name: summary(rows) for name, rows in {**by_kind, "all": mobile}.items()},
        "networks": [record for rows in by_board(nets) for record in _networks(rows)],
    }


def by_board(rows: Sequence[Measured]) -> list[list[Measured]]:
    names = dict.fromkeys(row.board for row in rows)
    return [[row for row in rows if row.board == name] for name in names]


def _networks(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    """Each network of a board, and its error where the flash term was fitted on the others."""
    out = left_out(rows, board_of(rows[0].board).latency, "flash_byte")
    return [
        {"network": row.name, **summary([row]), "left_out": round(100 * error, 1)}
        for row, error in zip(rows, out, strict=True)
    ]


def _kinds(rows: Sequence[Measured]) -> Iterable[tuple[str, str, list[Measured]]]:
    """Layers by kind, and by whether their weights fit the cache."""
    edge = 12_288
    for kind in dict.fromkeys(row.name for row in rows):
        for size, inside in ((f"weights below {edge // 1024} KiB", True), ("larger", False)):
            found = [r for r in rows if r.name == kind and (r.weight_bytes < edge) == inside]
            if found:
                yield kind, size, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(os.environ.get("TINYTAILOR_DATA", DATA))
    parser.add_argument("--data", type=Path, default=default)
    folder = parser.parse_args().data
    additions, mobile = adds(folder), layers(folder)
    for name in ("nucleo-f446re", "nicla-sense-me"):
        rows = [row for row in additions if row.board == name]
        value, _ = fitted(rows, board_of(name).latency, "fetch_byte")
        out = np.abs(left_out(rows, board_of(name).latency, "fetch_byte"))
        print(f"{name}: fetch_byte {value:.4f}, each left out: {100 * out.mean():.2f} % mean")
    beyond = "flash_byte_beyond_cache"
    value, _ = fitted(mobile, board_of(LAYERS_BOARD).latency, beyond)
    out = np.abs(left_out(mobile, board_of(LAYERS_BOARD).latency, beyond))
    print(f"{LAYERS_BOARD}: {beyond} {value:.4f}, each left out: {100 * out.mean():.2f} % mean")
    for name, found in compared(folder).items():
        print(name)
        rows = found.items() if isinstance(found, dict) else enumerate(found)
        for key, row in rows:
            print("  ", key, row)


if __name__ == "__main__":
    main()
