#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the exact price of a network costs, as a search asks for it by the thousand.

usage: python benchmarks/pricing.py [--networks 300] [--cold 4] [--space S]...

Rows are made up, but say of memory what measured ones do. What a price takes is said as a ratio to
a fixed piece of numpy work in the same run, by which machines can be compared, and in milliseconds
of this process's CPU. Then the first of the networks are priced by processes that start cold, by
rows that say nothing of memory: every number must be the same. Fails if one is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "nas"))

from cold import cold_price, without_placement
from synthetic_table import write_placed

from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.cost import Cost
from tinytailor.nas.cost import TableCosts, fit_parts
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.spaces import Space, parse_space
from tinytailor.targets import Board, load_target, require_board

SPACES = ("micronas:128x9x6", "image:32x32x3x10", "image:96x96x3x10")
TARGET = "nucleo-f446re"
SEED = 0
REPEATS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--cold", type=int, default=4)
    parser.add_argument("--space", action="append")
    arguments = parser.parse_args()
    work = yardstick()
    print(f"numpy work: {work:.1f} ms of CPU")
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, spec in enumerate(arguments.space or SPACES):
            path = Path(folder) / f"{number}.jsonl"
            space = parse_space(spec)
            write_placed(path, space.keys(str(board().core.isa)), board())
            found = priced(space, LatencyTable.load(path), arguments.networks, work)
            different += compared(spec, path, found[: arguments.cold])
    return int(different > 0)


def board() -> Board:
    return require_board(load_target(TARGET), "a price")


def yardstick() -> float:
    """Milliseconds of sorting, which one thread does whatever numpy was built with."""
    values = np.random.default_rng(SEED).normal(size=1_000_000)
    return median(timed(lambda: np.sort(values))[0] for _ in range(REPEATS))


def timed(run: Callable[[], object]) -> tuple[float, object]:
    begun = time.process_time()
    result = run()
    return 1e3 * (time.process_time() - begun), result


def networks(space: Space, count: int) -> list[Topology]:
    rng = np.random.default_rng(SEED)
    return [space.topology(space.sample(rng)) for _ in range(count)]


def priced(space: Space, table: LatencyTable, count: int, work: float) -> list[Cost]:
    """The costs of seeded networks; prints what each took, and what a search's start takes."""
    costs = TableCosts(table, board())
    spent, found = [], []
    for network in networks(space, count):
        began = time.process_time()
        found.append(costs.whole(network))
        spent.append(1e3 * (time.process_time() - began))
    mean = sum(spent) / len(spent)
    print(
        f"{space.spec}: {count} networks, {mean / work:.2f} of the numpy work each "
        f"({mean:.2f} ms; median {median(spent):.2f}, most {max(spent):.2f}; {len(table)} rows)"
    )
    start, _ = timed(lambda: fit_parts(space, TableCosts(table, board()), SEED))
    print(f"{space.spec}: costs of networks before a search: {start / work:.1f} ({start:.0f} ms)")
    return found


def compared(spec: str, path: Path, found: Sequence[Cost]) -> int:
    """How many of ``found`` differ from the prices of processes that start cold."""
    different = 0
    for number, cost in enumerate(found):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            cold = pool.submit(from_cold, spec, path, number).result()
        different += without_placement(cost) != cold
    print(f"{spec}: {len(found) - different} of {len(found)} costs equal those of a cold start")
    return different


def from_cold(spec: str, path: Path, number: int) -> Cost:
    network = networks(parse_space(spec), number + 1)[number]
    return cold_price(LatencyTable.load(path), board(), network)


if __name__ == "__main__":
    sys.exit(main())
