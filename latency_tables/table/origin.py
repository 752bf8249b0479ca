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
from tinytailor.latency_tables.table.latency_table import LatencyTable
from tinytailor.latency_tables.table.records import Glue, Header
from tinytailor.targets import Board, Toolchain, cross_flags
from tinytailor.targets.errors import InputError

# Parts of the compiler that decide which operators a model is made of, not what they cost. A folder
# that is not named here is part of the digest.
NOT_OF_KERNELS = ("fpga", "frontend", "passes", "quantize")


def now() -> str:
    """Date and time in UTC."""
    return datetime.now(UTC).isoformat("T", "seconds")


def require_same_origin(
    table: LatencyTable, board: Board, toolchain: Toolchain, runner: str
) -> None:
    """InputError naming what differs if rows measured now do not belong into ``table``."""
    differing = differences(table, board, toolchain, runner)
    if differing:
        raise InputError(
            f"{table.path} was measured with something else: {in_words(differing)}; name another "
            "file (--out of measure, --table of search), or measure anew with `tinytailor measure "
            "--no-resume`"
        )


def differences(
    table: LatencyTable, board: Board, toolchain: Toolchain, runner: str | None = None
) -> dict[str, tuple[Any, Any]]:
    """Field of the origin -> what it was for ``table``, what it is now: nothing if it is equal.

    The runner is the table's unless given.
    """
    old = table.header.origin()
    new = header_for(board, toolchain, runner or table.header.runner, table.header.glue).origin()
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def in_words(differing: dict[str, tuple[Any, Any]]) -> str:
    """ "core was a, is b; …"; of long values only the names, where there are short ones."""
    long = (list, tuple, dict)
    short = [name for name, (old, _) in differing.items() if not isinstance(old, long)]
    pairs = ((name, *differing[name]) for name in short or differing)
    return "; ".join(f"{name} was {old}, is {new}" for name, old, new in pairs)


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
        runner=runner.partition(":")[0],  # whatever port the board is at today
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


def files_of(folder: Path) -> list[Path]:
    """All source files in ``folder``, however deep; what running it leaves there is none."""
    return [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"]


def of_kernels(compiler: Path) -> list[Path]:
    """The files of the folder ``compiler`` that decide what operators cost: all but those said."""
    return [p for p in files_of(compiler) if p.relative_to(compiler).parts[0] not in NOT_OF_KERNELS]


@cache
def compiler_digest() -> str:
    """A digest of the sources that decide the code of kernels and what is counted of it."""
    compiler = Path(tinytailor.compiler.__file__).parent
    targets = Path(tinytailor.targets.__file__).parent
    files = [targets / name for name in ("firmware.py", "instructions.py", "stack.py")]
    files += [
        path for part in ("cycles", "emulator", "runtime") for path in files_of(targets / part)
    ]
    files += of_kernels(compiler)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.parent.name}/{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
