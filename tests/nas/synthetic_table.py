# SPDX-License-Identifier: Apache-2.0
"""A latency table in the real file format whose counts follow formulas instead of an emulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from tinytailor.compiler.memory.predicted import kernel_bytes
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables import Glue, Header, LatencyTable, Measurement, Work
from tinytailor.latency_tables.table.footprints import placement_of
from tinytailor.latency_tables.table.origin import compiler_digest
from tinytailor.nas.spaces import Space
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.targets import Board, Toolchain, cross_flags

NEUTRAL: dict[Any, Any] = {str: "synthetic", int: 0, float: 0.0, dict: {}, tuple: ()}


def filled(record: type, **known: Any) -> Any:
    """``record`` with neutral values for the fields that do not matter here."""
    hints = get_type_hints(record)
    names = [field.name for field in dataclasses.fields(record)]
    neutral = {name: NEUTRAL.get(get_origin(hints[name]) or hints[name]) for name in names}
    return record(**{**neutral, **known})


def write_table(path: Path, space: Space, board: Board) -> None:
    """Every row that ``space`` needs on ``board``."""
    write_rows(path, space.keys(str(board.core.isa)), board)


def write_rows(path: Path, keys: Iterable[OpKey], board: Board) -> None:
    """A row for each of ``keys``."""
    glue = filled(
        Glue,
        base=Work(500, 700, 0, 0),
        per_node=Work(20, 30, 0, 0),
        image_bytes=600,
        node_bytes=16,
        static_bytes=8,
        stack_bytes=64,
    )
    header = filled(
        Header,
        core=board.core.name,
        isa=str(board.core.isa),
        toolchain_flags=cross_flags(board, Toolchain("synthetic", (), "synthetic")),
        glue=glue,
    )
    LatencyTable.create(path, header).append([row(key) for key in keys])


def write_placed(path: Path, keys: Iterable[OpKey], board: Board) -> None:
    """The same as this tool measures it: with what lowering says of memory."""
    write_rows(path, keys, board)
    table = LatencyTable.load(path)
    header = dataclasses.replace(table.header, compiler=compiler_digest())
    LatencyTable.create(path, header).append([_placed(one) for one in table.rows.values()])


def _placed(row: Measurement) -> Measurement:
    scratch, constants = kernel_bytes(row.key)
    return dataclasses.replace(
        row, scratch_bytes=scratch, constant_bytes=constants, placement=placement_of(row.key)
    )


def row(key: OpKey) -> Measurement:
    price = FormulaCosts().operator(key)
    cycles = round(price.latency_ms * 100_000)
    return filled(
        Measurement,
        key=key,
        cycles=None,
        counts=Work(cycles, cycles, 0, 0),
        scratch_bytes=price.scratch_bytes,
        constant_bytes=price.flash_bytes - 400,
        code_bytes=400,
        stack_bytes=40,
        repeats=1,
    )
