# SPDX-License-Identifier: Apache-2.0
"""Tables that come with the tool: their rows are taken, and only the rest is measured.

    tables/<core>/<space>-<shape>.jsonl

What a row counts is decided by the core, the C compiler with its flags, and the code generator. The
first two must be the same. If the code generator is another, a seeded sample of the rows is
measured anew, and all of them are taken if every count of the sample is the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tinytailor.latency_tables
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.measuring.header import make_header
from tinytailor.latency_tables.measuring.measure import measure_batch
from tinytailor.latency_tables.table.latency_table import Failure, LatencyTable, describe
from tinytailor.latency_tables.table.origin import (
    compiler_digest,
    differences,
    header_for,
    in_words,
    now,
)
from tinytailor.latency_tables.table.records import Header, Measurement
from tinytailor.targets import Board, Toolchain
from tinytailor.targets.files import only_writer, write_atomically

FOLDER = Path(tinytailor.latency_tables.__file__).parent / "tables"
CORES = ("cortex-m0plus", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7")
SPACES = ("image:32x32x3x10", "micronas:100x6x4", "series:100x6x4", "series:128x9x6")
SAMPLE = 6
# What may differ if a sample agrees; the date and the glue are made anew.
_CHECKED = frozenset({"compiler", "tool_version"})


def shipped_path(core: str, space: str) -> Path:
    """The file of a space with its shape, such as ``micronas:100x6x4``."""
    return FOLDER / core / f"{space.replace(':', '-')}.jsonl"


def shipped_tables(core: str | None = None) -> list[Path]:
    return sorted(FOLDER.glob(f"{core or '*'}/*.jsonl"))


def begin(
    path: Path, keys: Sequence[OpKey], board: Board, toolchain: Toolchain, runner: str
) -> str:
    """Put the rows of shipped tables that are among ``keys`` into the table at ``path``.

    It is created where there is none; rows it has stay. Says in one line what was taken, or why
    what is there was not; nothing if no shipped table has any of the keys that are missing, or the
    table itself cannot go on here, which measuring will say.
    """
    table = LatencyTable.load(path) if path.exists() else None
    if table is not None and differences(table, board, toolchain, runner):
        return ""
    wanted = {key for key in keys if table is None or key not in table}
    rows: dict[OpKey, Measurement] = {}
    headers, said = [], []
    for one in shipped_tables(board.core.name) if wanted else ():
        ready = LatencyTable.load(one)
        found = [ready[key] for key in sorted(wanted - rows.keys()) if key in ready]
        if not found:
            continue
        why = _why_not(ready, found, board, toolchain, runner)
        said.append(why or f"{len(found)} rows come from the shipped table {one.stem}")
        if not why:
            # Another code generator may place what counts the same elsewhere.
            same = ready.header.compiler == compiler_digest()
            rows.update((r.key, r if same else replace(r, placement=None)) for r in found)
            headers.append(ready.header)
    if rows:
        entries = [rows[key] for key in sorted(rows)]
        with only_writer(path):
            if path.exists():
                LatencyTable.load(path).append(entries)
            else:
                _write(path, _header(headers, board, toolchain, runner), entries)
    return "; ".join(said)


def _header(shipped: Sequence[Header], board: Board, toolchain: Toolchain, runner: str) -> Header:
    """That of a table made now; the glue is measured unless the same code was shipped."""
    for old in shipped:
        new = header_for(board, toolchain, runner, old.glue, now())
        if old.origin() == new.origin():
            return new
    return make_header(board, toolchain, runner)


def _write(path: Path, header: Header, rows: Sequence[Measurement]) -> None:
    """The whole table or none."""
    write_atomically(path, lambda file: LatencyTable.create(file, header).append(rows))


def _why_not(
    table: LatencyTable,
    rows: Sequence[Measurement],
    board: Board,
    toolchain: Toolchain,
    runner: str,
) -> str:
    """Why ``rows`` of a shipped table do not hold here; empty if they do."""
    differing = differences(table, board, toolchain, runner)
    strict = {name: pair for name, pair in differing.items() if name not in _CHECKED}
    other = in_words(strict)
    if differing and not strict:
        other = disagreement(sample(rows, SAMPLE), board, toolchain, runner)
    return other and f"the shipped table for {board.core.name} is not used: {other}"


def sample(rows: Sequence[Measurement], count: int, seed: int = 0) -> list[Measurement]:
    """The same rows for the same table and seed."""
    ordered = sorted(rows, key=lambda row: row.key)
    return random.Random(seed).sample(ordered, min(count, len(ordered)))


def disagreement(
    rows: Sequence[Measurement], board: Board, toolchain: Toolchain, runner: str
) -> str:
    """The first difference between ``rows`` and the same measured now; empty if there is none."""
    again = measure_batch([row.key for row in rows], board, toolchain, runner)
    for old, new in zip(rows, again, strict=True):
        if isinstance(new, Failure):
            return f"{describe(old.key)} cannot be measured now: {new.message}"
        there, here = old.to_json(), new.to_json()
        for name in there:
            if name != "date" and there[name] != here[name]:
                return (
                    f"{describe(old.key)} has {name} {there[name]} there and {here[name]} "
                    "with this version of the tool"
                )
    return ""
