# SPDX-License-Identifier: Apache-2.0
"""Where a table comes from: everything that decides its rows, written into its header.

Counts are decided by the core, the compiler with its flags and the code generator, so they hold for
every board of the core. Cycles that a board measured hold for that board at that clock.
"""

from __future__ import annotations

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


def require_valid_for(header: Header, path: Path, board: Board) -> None:
    """InputError unless the rows of the table at ``path`` hold for ``board``."""
    if header.core != board.core.name:
        raise InputError(
            f"{path} holds operators of {header.device}, and {board.name} has a {board.core.name}"
        )
    mine = (None, None), (board.name, board.clock_hz)
    if (header.target, header.clock_hz) not in mine:
        raise InputError(
            f"{path} was measured on {header.device}, not on {board.name} at {board.clock_hz} Hz; "
            "only counts hold for other boards"
        )
    flags = tuple(cross_flags(board, Toolchain(header.toolchain, (), header.toolchain_version)))
    if header.toolchain_flags != flags:
        raise InputError(
            f"{path} was compiled with {' '.join(header.toolchain_flags)}, and code for "
            f"{board.name} is with {' '.join(flags)}; measure it again into another file"
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
    measured = runner.partition(":")[0] == "serial"
    return Header(
        target=board.name if measured else None,
        clock_hz=board.clock_hz if measured else None,
        core=board.core.name,
        isa=str(board.core.isa),
        toolchain=toolchain.name,
        toolchain_version=toolchain.version,
        toolchain_flags=tuple(cross_flags(board, toolchain)),
        tool_version=version("tinytailor"),
        runner=runner.partition(":")[0],  # whatever port the board is at today
        compiler=compiler_digest(),
        created=created,
        glue=glue,
    )


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
