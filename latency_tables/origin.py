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
import tinytailor.targets
from tinytailor.latency_tables.glue import measure_glue
from tinytailor.latency_tables.records import Glue, Header
from tinytailor.latency_tables.table import LatencyTable
from tinytailor.targets import Board, Toolchain, cross_flags
from tinytailor.targets.errors import InputError


def make_header(board: Board, toolchain: Toolchain, runner: str) -> Header:
    """The header of a new table; measures the glue of an invoke."""
    return header_for(
        board,
        toolchain,
        runner,
        measure_glue(board, toolchain, runner),
        now(),
    )


def now() -> str:
    """Date and time in UTC."""
    return datetime.now(UTC).isoformat("T", "seconds")


def require_same_origin(
    table: LatencyTable, board: Board, toolchain: Toolchain, runner: str
) -> None:
    """InputError naming what differs if rows measured now do not belong into ``table``."""
    old = table.header.origin()
    new = header_for(board, toolchain, runner, table.header.glue, table.header.created).origin()
    differing = [name for name in old if old[name] != new[name]]
    if differing:
        short = [name for name in differing if not isinstance(old[name], list | tuple | dict)]
        pairs = "; ".join(f"{name} was {old[name]}, is {new[name]}" for name in short or differing)
        raise InputError(
            f"{table.path} was measured with something else: {pairs}; name another file (--out of "
            "measure, --table of search), or measure anew with `tinytailor measure --no-resume`"
        )


def header_for(
    board: Board, toolchain: Toolchain, runner: str, glue: Glue, created: str = ""
) -> Header:
    """The header of a table that is measured now, with a glue that is known."""
    return Header(
        target=board.name,
        core=board.core.name,
        isa=str(board.core.isa),
        clock_hz=board.clock_hz,
        toolchain=toolchain.name,
        toolchain_version=toolchain.version,
        toolchain_flags=tuple(cross_flags(board, toolchain)),
        tool_version=version("tinytailor"),
        runner=runner,
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
    """A digest of the sources that decide the code of kernels and what is counted of it."""
    compiler = Path(tinytailor.compiler.__file__).parent
    targets = Path(tinytailor.targets.__file__).parent
    folders = {
        compiler: (".", "ops", "mcu", "mcu/templates"),
        targets: ("cycles", "emulator", "runtime"),
    }
    files = [targets / name for name in ("firmware.py", "instructions.py", "stack.py")]
    for package, parts in folders.items():
        for part in parts:
            files += [path for path in (package / part).iterdir() if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.parent.name}/{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
