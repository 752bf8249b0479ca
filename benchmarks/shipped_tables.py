#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the latency tables that come with the tool: every default space on each of some cores.

usage: python benchmarks/shipped_tables.py [--workers N] [--core C]... [--space S]...
                                           [--check | --again]

A table that this version of the tool would measure with the same compiler and the same code
generator, and that has the rows of its space and no others, is left as it is. All others are
measured from nothing into a file beside it, which takes its place when it is complete; stop it at
any time, the same command goes on. ``--check`` only says which tables are not current, and fails if
there are any. ``--again`` measures every row of every table once more, leaves the tables as they
are, and fails where a count is another.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tinytailor.cli.measure import space_keys
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring import shipped
from tinytailor.latency_tables.measuring.counting import bench
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.latency_tables.table.latency_table import describe
from tinytailor.latency_tables.table.origin import require_same_origin
from tinytailor.targets import CORES, Board, Toolchain, cross_toolchain, default_runner
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import only_writer


def why_stale(path: Path, keys: Iterable[OpKey], board: Board, toolchain: Toolchain) -> str:
    """Why the table has to be measured; empty if it has not."""
    if not path.exists():
        return "there is none"
    try:
        table = LatencyTable.load(path)
        require_same_origin(table, board, toolchain, default_runner(board))
    except InputError as error:
        return str(error)
    missing, unknown = set(keys) - set(table), set(table) - set(keys)
    return f"{len(missing)} rows missing, {len(unknown)} not of the space" * bool(missing | unknown)


def make(
    path: Path, keys: Iterable[OpKey], board: Board, toolchain: Toolchain, workers: int
) -> None:
    """Measure all of ``keys``, and put the table in place."""
    partial = path.with_name(f".{path.stem}.partial")
    if partial.exists():
        try:
            table = LatencyTable.load(partial)
            require_same_origin(table, board, toolchain, default_runner(board))
        except InputError as error:
            print(f"  begun with something else, and given up: {error}", flush=True)
            partial.unlink()
    shown = [0]

    def progress(done: int, total: int) -> None:
        if done == total or done >= shown[0] + total / 10:
            shown[0] = done
            print(f"  {done} of {total}", flush=True)

    table = measure(keys, board, toolchain, partial, workers=workers, on_progress=progress)
    with only_writer(partial):
        table.sort()
    os.replace(partial, path)


def differing(path: Path, board: Board, toolchain: Toolchain, workers: int) -> list[str]:
    """Operators of the table at ``path`` that do not measure to the same row again."""
    table = LatencyTable.load(path)
    with tempfile.TemporaryDirectory() as folder:
        new = measure(tuple(table), board, toolchain, Path(folder) / path.name, workers=workers)
        same = {key: replace(new[key], date=table[key].date) == table[key] for key in table}
    return [describe(key) for key, equal in same.items() if not equal]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--core", action="append", choices=shipped.CORES)
    parser.add_argument("--space", action="append")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true")
    choice.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    toolchain, stale = cross_toolchain(), 0
    for name in arguments.core or shipped.CORES:
        board = bench(CORES[name])
        for space in arguments.space or shipped.SPACES:
            path, keys = shipped.shipped_path(name, space), space_keys(space, None, board)
            if arguments.again:
                found = differing(path, board, toolchain, arguments.workers)
                print(f"{name} {space}: {len(found)} of {len(keys)} differ", *found[:3], flush=True)
                stale += bool(found)
                continue
            why = why_stale(path, keys, board, toolchain)
            print(f"{name} {space}: {why or 'current'} ({len(keys)} operators)", flush=True)
            stale += bool(why)
            if why and not arguments.check:
                make(path, keys, board, toolchain, arguments.workers)
    return int(bool(stale and (arguments.check or arguments.again)))


if __name__ == "__main__":
    sys.exit(main())
