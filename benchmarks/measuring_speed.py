#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What measuring a latency table costs: seconds per operator by phase, and a table of 1,000 keys.

usage: python benchmarks/measuring_speed.py [--target nucleo-f446re] [--keys 1000] [--workers 2]
                                      [--phases 48]

The keys are distinct: of the default image space first, then of the time-series space for one data
set after the other. The phases are those of one process, batch by batch, in seconds of wall clock
and of CPU, its children's included. The table is made as `tinytailor measure` makes it, from
nothing, with all compilation; its CPU time is that of all its processes, and is what to compare on
a machine that does other things as well.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tinytailor.cli.measure import load_board, space_keys
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.measuring.batches import MOST_KERNELS
from tinytailor.latency_tables.measuring.measure import measure, measure_batch
from tinytailor.targets import Board, cross_toolchain, default_runner

SPACES = (
    "image:32x32x3x10",
    *(f"micronas:{shape}" for shape in ("100x6x4", "128x9x6", "40x2x2", "256x3x5", "64x12x8")),
    *(f"micronas:{shape}" for shape in ("150x1x3", "200x4x10", "96x24x2", "512x1x2", "32x8x16")),
)
IMPORTS = "import sys; sys.modules['torch'] = None; import tinytailor.compiler.mcu.kernel_image"
PHASES = {
    "lower (TVM)": "tinytailor.compiler.mcu.kernel_image:lower_node",
    "compile and link": "tinytailor.compiler.mcu.kernel_image:build_for",
    "stack from machine code": "tinytailor.targets.stack:StackUse.of",
    "run, twice each": "tinytailor.targets:run_on",
}


def distinct(count: int, board: Board) -> tuple[OpKey, ...]:
    found: dict[OpKey, None] = {}
    for space in SPACES:
        if len(found) < count:
            found.update(dict.fromkeys(space_keys(space, None, board)))
    return tuple(found)[:count]


def seconds() -> tuple[float, float]:
    """Wall clock, and CPU of this process and of all its children that have ended."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)


class Clock:
    """Adds up the seconds spent in functions."""

    def __init__(self) -> None:
        self.spent: dict[str, tuple[float, float]] = {}

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = seconds()
            try:
                return function(*args, **kwargs)
            finally:
                self.add(name, begun)

        return timed

    def add(self, name: str, begun: tuple[float, float]) -> None:
        ended, spent = seconds(), self.spent.get(name, (0.0, 0.0))
        self.spent[name] = (spent[0] + ended[0] - begun[0], spent[1] + ended[1] - begun[1])


def by_phase(keys: tuple[OpKey, ...], board: Board) -> Iterator[str]:
    """Lines of a table: what one operator takes, by phase."""
    clock, toolchain = Clock(), cross_toolchain()
    begun = seconds()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    clock.add("imports, once a process", begun)
    with ExitStack() as stack:
        for name, where in PHASES.items():
            module, _, attribute = where.partition(":")
            owner: Any = import_module(module)
            *path, last = attribute.split(".")
            for part in path:
                owner = getattr(owner, part)
            timed = clock.around(name, getattr(owner, last))
            stack.enter_context(patch.object(owner, last, timed))
        begun = seconds()
        for start in range(0, len(keys), MOST_KERNELS):
            batch = keys[start : start + MOST_KERNELS]
            measure_batch(batch, board, toolchain, default_runner(board))
        clock.add("all of it", begun)
    known = [clock.spent[name] for name in PHASES]
    wall, cpu = clock.spent["all of it"]
    rest = wall - sum(one[0] for one in known), cpu - sum(one[1] for one in known)
    clock.spent["anything else"] = rest
    yield f"{'phase':26} {'wall ms':>8} {'CPU ms':>8}   per operator, {len(keys)} of them"
    for name in (*PHASES, "anything else", "all of it"):
        wall, cpu = clock.spent[name]
        yield f"{name:26} {wall / len(keys) * 1e3:8.1f} {cpu / len(keys) * 1e3:8.1f}"
    wall, cpu = clock.spent["imports, once a process"]
    yield f"imports, once a process: {wall:.1f} s wall, {cpu:.1f} s CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="nucleo-f446re")
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--phases", type=int, default=48, help="operators for the phases; 0: none")
    arguments = parser.parse_args()
    board = load_board(arguments.target)
    keys = distinct(arguments.keys, board)
    with tempfile.TemporaryDirectory(prefix="tinytailor-measuring-") as folder:
        begun = seconds()
        path = Path(folder) / "table.jsonl"
        table = measure(keys, board, cross_toolchain(), path, workers=arguments.workers)
        wall, cpu = (b - a for a, b in zip(begun, seconds(), strict=True))
    print(
        f"{len(table)} operators on the emulated {board.name}, {arguments.workers} workers: "
        f"{wall:.0f} s wall, {cpu:.0f} s CPU ({cpu / len(keys):.2f} s CPU an operator)",
        flush=True,
    )
    if arguments.phases:
        some = sorted(random.Random(0).sample(keys, min(arguments.phases, len(keys))))
        print("\n".join(by_phase(tuple(some), board)))


if __name__ == "__main__":
    main()
