# SPDX-License-Identifier: Apache-2.0
"""Where a table comes from: everything that decides its counts, written into its header."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tinytailor.compiler
from tinytailor.latency_tables.glue import measure_glue
from tinytailor.latency_tables.records import Glue, Header
from tinytailor.latency_tables.table import LatencyTable
from tinytailor.targets import Board, Toolchain, cross_flags
from tinytailor.targets.errors import InputError

RUNNER = "emulator"


def make_header(board: Board, toolchain: Toolchain) -> Header:
    """The header of a new table; measures the glue of an invoke."""
    return _header(
        board,
        toolchain,
        measure_glue(board, toolchain),
        datetime.now(UTC).isoformat("T", "seconds"),
    )


def require_same_origin(table: LatencyTable, board: Board, toolchain: Toolchain) -> None:
    """InputError naming what differs if rows measured now do not belong into ``table``."""
    differing = differences(table, board, toolchain)
    if differing:
        raise InputError(
            f"{table.path} was measured with something else: {in_words(differing)}; name another "
            "file (--out of measure, --table of search), or measure anew with `tinytailor measure "
            "--no-resume`"
        )


def differences(
    table: LatencyTable, board: Board, toolchain: Toolchain
) -> dict[str, tuple[Any, Any]]:
    """Field of the origin -> what it was for ``table``, what it is now: nothing if it is equal."""
    old = table.header.origin()
    new = _header(board, toolchain, table.header.glue, table.header.created).origin()
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def in_words(differing: dict[str, tuple[Any, Any]]) -> str:
    """ "core was a, is b; …"; of long values only the names, where there are short ones."""
    long = (list, tuple, dict)
    short = [name for name, (old, _) in differing.items() if not isinstance(old, long)]
    pairs = ((name, *differing[name]) for name in short or differing)
    return "; ".join(f"{name} was {old}, is {new}" for name, old, new in pairs)


def _header(board: Board, toolchain: Toolchain, glue: Glue, created: str) -> Header:
    return Header(
        target=board.name,
        core=board.core.name,
        isa=str(board.core.isa),
        clock_hz=board.clock_hz,
        toolchain=toolchain.name,
        toolchain_version=toolchain.version,
        toolchain_flags=tuple(cross_flags(board, toolchain)),
        tool_version=version("tinytailor"),
        runner=RUNNER,
        compiler=compiler_digest(),
        latency_model=latency_model(board),
        created=created,
        glue=glue,
    )


def latency_model(board: Board) -> dict[str, Any]:
    """The constants of a board's latency model as JSON values."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(board.latency).items()
    }


@cache
def compiler_digest() -> str:
    """A digest of the sources that decide the code of a microcontroller's kernels."""
    folder = Path(tinytailor.compiler.__file__).parent
    files = sorted(
        path
        for part in (".", "ops", "mcu", "mcu/templates")
        for path in (folder / part).glob("*")
        if path.is_file()
    )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
