# SPDX-License-Identifier: Apache-2.0
"""Latency tables whose counts follow formulas, and boards that are as fast as we like."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Add, Conv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Glue, Header, LatencyTable, Measurement, Work
from tinytailor.latency_tables.calibration.calibrate import Part, Point
from tinytailor.targets import Board, LatencyModel, Toolchain, cross_flags, load_target

BOARD = "nucleo-l552ze-q"


def board() -> Board:
    target = load_target(BOARD)
    assert isinstance(target, Board)
    return target


def convolutions() -> tuple[OpKey, ...]:
    """36 of different depth, width, length and kernel."""
    shapes = itertools.product((4, 10, 64), (3, 8, 33), (8, 40), (1, 5))
    return tuple(
        make_key(
            Conv2d(out, Window((k, 1), padding=(k // 2, 0, k // 2, 0))), ((1, t, 3, c),), "dsp"
        )
        for c, t, out, k in shapes
    )


def additions() -> tuple[OpKey, ...]:
    return tuple(make_key(Add(), ((1, t, 3, 8), (1, t, 3, 8)), "dsp") for t in (5, 9, 20, 50, 70))


def row(key: OpKey) -> Measurement:
    """Counts that grow with the work, none of them a multiple of another."""
    op = key.operator()
    macs = op.macs(*key.input_shapes)
    outputs = int(np.prod(op.output_shape(*key.input_shapes)))
    constants = sum(int(np.prod(s.shape)) for s in op.constants(*key.input_shapes).values())
    loads = macs // 9 + 2 * outputs
    counts = Work(macs + 9 * outputs + 200, macs + 14 * outputs + 300, loads, loads + 9 * outputs)
    return Measurement(
        key=key,
        cycles=None,
        counts=counts,
        scratch_bytes=16,
        constant_bytes=constants,
        code_bytes=400 + constants % 90,
        entry_bytes=12,
        library={"memset": 60},
        stack_bytes=40 + constants % 30,
        repeats=2,
        spread_cycles=0,
        date="2026-01-01",
    )


def header(of: Board, **other: Any) -> Header:
    values: dict[str, Any] = {
        "target": None,
        "clock_hz": None,
        "core": of.core.name,
        "isa": str(of.core.isa),
        "toolchain": "formula",
        "toolchain_version": "formula 1",
        "toolchain_flags": cross_flags(of, Toolchain("formula", (), "formula 1")),
        "tool_version": "1",
        "runner": "emulator",
        "compiler": "none",
        "created": "2026-01-01",
        "glue": Glue(Work(500, 700, 0, 0), Work(20, 30, 0, 0), 600, 16, 8, 64),
    }
    return Header(**{**values, **other})


def write_table(
    path: Path, rows: list[Measurement], of: Board | None = None, **other: Any
) -> LatencyTable:
    table = LatencyTable.create(path, header(of or board(), **other))
    table.append(rows)
    return table


def points(model: LatencyModel, noise: float = 0.0, seed: int = 0) -> list[Point]:
    """The convolutions as a board with these constants would take, with lognormal noise."""
    rng = np.random.default_rng(seed)
    found = []
    for key in convolutions():
        one = row(key)
        cycles = one.work.operator_cycles(model, one.constant_bytes) * np.exp(rng.normal(0, noise))
        part = Part(key.kind, one.work, one.constant_bytes)
        found.append(Point(key.text, float(cycles), (part,)))
    return found


def model(**constants: Any) -> LatencyModel:
    """A latency model whose other constants are 0."""
    values: dict[str, Any] = {
        "core": 1.0,
        "flash_load": 0.0,
        "flash_byte": 0.0,
        "flash_byte_beyond_cache": 0.0,
        "cache_bytes": None,
        "per_operator": 0.0,
        "source": "a test",
        "calibrated": True,
    }
    return LatencyModel(**{**values, **constants})
