#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the search finds on real data sets, within budgets on emulated boards.

usage: python benchmarks/searches.py [--set NAME]... [--seeds N] [--runs FOLDER] [--write]

Each line of SETS is searched for its first budget and swept over the others, from the same shared
networks. Accuracy is that of the emitted int8 C over the whole test part on the host; latency, RAM
and flash are those of the profiled project on the emulated board, input processing included. What
is done is kept in searches.json after every search and not done again; a search that is killed goes
on where it stopped, in FOLDER. ``--write`` writes docs/searches.md.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "searches.json", HERE.parent / "docs" / "searches.md"

HEAD = """# What the search finds

Written by `python benchmarks/searches.py --write` from searches that ran with default options.
Accuracy: the emitted int8 C on the host, whole test part, all outputs equal to those of the integer
reference, a sample of them on the emulated board; mean and standard deviation over seeds. Latency,
RAM and flash: the profiled project on the emulated board, input processing included, modelled with
the board's constants; those of the seed that needs most. All budgets of one set and board come from
one training of the shared networks.

| data | board | budget | seeds | int8 accuracy | least | float | latency | RAM | flash |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Line:
    """``latencies``: the first is searched, the others swept."""

    data: str
    target: str
    latencies: tuple[str, ...]
    ram: str = "64KiB"
    flash: str = "256KiB"
    seeds: int = 3


SETS: dict[str, Line] = {
    "uci-har": Line("uci-har", "nucleo-l552ze-q", ("25ms", "50ms", "7.5ms", "2.5ms")),
}


def run(name: str, seed: int, runs: Path) -> dict[str, Any]:
    """All budgets of one seed."""
    from tinytailor.cli.search import search_report
    from tinytailor.cli.search_order import SearchOrder

    line = SETS[name]
    order = SearchOrder(
        data=line.data,
        target=line.target,
        out=runs / f"{name}-{seed}",
        latency=line.latencies[0],
        budget_sweep=",".join(line.latencies[1:]) or None,
        ram=line.ram,
        flash=line.flash,
        workers=2,
        seed=seed,
    )
    before, cpu = time.monotonic(), cpu_seconds()
    report = search_report(order)
    first = {"run": str(order.out)}
    points = report.get("sweep") or [{**first, "latency_ms": None}]
    return {
        "points": [told(one) for one in points],
        "inputs": report["inputs"],
        "effort": report["effort"],
        "protocol": report["protocol"],
        "wall_s": round(time.monotonic() - before),
        "cpu_s": round(cpu_seconds() - cpu),
    }


def cpu_seconds() -> float:
    """Of this process and of those it waited for."""
    times = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in times)


def told(point: dict[str, Any]) -> dict[str, Any]:
    """What the page needs of one budget."""
    from tinytailor.targets.files import read_json

    report = read_json(Path(point["run"]) / "report.json")
    (target,) = report["targets"]
    host, board = target["verification"]
    profile, predicted = target["profile"], target["predicted"]
    return {
        "budget_ms": target["budget"]["latency_ms"],
        "int8": host["accuracy"],
        "float": report["accuracy"]["float"],
        "bit_exact": host["bit_exact"] and board["bit_exact"],
        "samples": host["samples"],
        "latency_ms": profile["latency_ms"],
        "predicted_ms": predicted["latency_ms"],
        "ram_bytes": profile["ram_bytes"],
        "flash_bytes": profile["flash_bytes"],
        "use": report["use"],
        "choices": report["architecture"]["choices"],
        "seconds": report["seconds"],
    }


def page(results: dict[str, Any]) -> str:
    rows = []
    for name, line in SETS.items():
        runs = [results[key] for key in sorted(results) if key.split("/")[0] == name]
        for place, latency in enumerate(line.latencies):
            points = [one["points"][place] for one in runs if len(one["points"]) > place]
            if points:
                rows.append(row(line, latency, points))
    return HEAD + "".join(rows)


def row(line: Line, latency: str, points: list[dict[str, Any]]) -> str:
    scores = [100 * one["int8"] for one in points]
    spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
    most = {key: max(one[key] for one in points) for key in ("ram_bytes", "flash_bytes")}
    cells = (
        line.data,
        line.target,
        latency,
        str(len(points)),
        f"{statistics.mean(scores):.2f}{spread} %",
        f"{min(scores):.2f} %",
        f"{statistics.mean(100 * one['float'] for one in points):.2f} %",
        f"{max(one['latency_ms'] for one in points):.2f} ms",
        f"{most['ram_bytes']} B",
        f"{most['flash_bytes']} B",
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    from tinytailor.targets.files import read_json, write_json, write_text

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--runs", type=Path, default=Path("build/searches"))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    results = read_json(RESULTS) if RESULTS.exists() else {}
    for name in arguments.set or SETS:
        for seed in range(SETS[name].seeds if arguments.seeds is None else arguments.seeds):
            key = f"{name}/{seed}"
            if key not in results:
                results[key] = run(name, seed, arguments.runs)
                write_json(RESULTS, results)
    text = page(results)
    if arguments.write:
        write_text(PAGE, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
