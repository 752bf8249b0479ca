# SPDX-License-Identifier: Apache-2.0
"""How long a latency table of many rows takes to load, on this machine as it is.

    python benchmarks/table_load.py [--rows 10000] [--repeats 7]

The rows are of real size: convolutions of every channel count and many maps, counts from a seed.
Prints the milliseconds on the clock (median, slowest) and of this process's CPU: of loading alone,
of loading and asking for 300 rows, as a search does, of parsing every row, and of checking.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "latency_tables"))

from table_rows import HEADER

from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Conv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import LatencyTable, Measurement, Work
from tinytailor.latency_tables.table.checks import check_table

ASKED = 300


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=10_000)
    arguments.add_argument("--repeats", type=int, default=7)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.jsonl"
        table = LatencyTable.create(path, HEADER)
        keys = list(itertools.islice(many_keys(), options.rows))
        table.append([row(key, seed) for seed, key in enumerate(keys)])
        some = keys[:: max(1, len(keys) // ASKED)]
        print(f"{len(keys)} rows, {path.stat().st_size / 1e6:.1f} MB")
        report("load", lambda: LatencyTable.load(path), options.repeats)
        report(f"load, ask for {len(some)}", lambda: ask(path, some), options.repeats)
        report("load, parse all", lambda: list(LatencyTable.load(path).rows.values()), 3)
        report("load, check", lambda: check_table(LatencyTable.load(path)), 3)


def ask(path: Path, keys: list[OpKey]) -> None:
    table = LatencyTable.load(path)
    for key in keys:
        table[key]


def report(what: str, run: Callable[[], object], repeats: int) -> None:
    walls, own = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(1e3 * (time.perf_counter() - wall))
        own.append(1e3 * (time.process_time() - cpu))
    print(f"{what:20} {median(walls):7.1f} ms, slowest {max(walls):.1f}; CPU {median(own):.1f} ms")


def many_keys() -> Iterator[OpKey]:
    sizes = itertools.product(range(4, 68, 4), range(4, 132, 4), range(4, 28))
    return (
        make_key(Conv2d(o, Window((3, 3), padding=(1, 1, 1, 1))), ((1, s, s, i),), "dsp")
        for i, o, s in sizes
    )


def row(key: OpKey, seed: int) -> Measurement:
    counts = Work(*map(int, np.random.default_rng(seed).integers(1000, 1 << 22, 4)))
    return Measurement(
        key=key,
        cycles=None,
        counts=counts,
        scratch_bytes=576,
        constant_bytes=4832,
        code_bytes=1204,
        entry_bytes=20,
        library={"memset": 162},
        stack_bytes=144,
        repeats=2,
        spread_cycles=0,
        date="2026-01-02",
    )


if __name__ == "__main__":
    main()
