#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random networks of a search space: their predicted cost beside that of the compiled project.

usage: python benchmarks/prediction.py [--write] [--count N] [--table FILE] [--seed N]
                                       [--target BOARD] [SPACE ...]

A network is predicted as the search does it, from its layers alone: latency is a sum over a table
of operators that were measured one by one, RAM and flash are the linked program's. Then it gets
random weights, calibrated scales and zero points, is compiled, run on the emulated board, and
profiled. With --write the figures go to prediction.json and docs/prediction.md is made from them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from prediction_page import PAGE, page  # noqa: E402  (beside this file)

from tinytailor.compiler import Graph, compile_model  # noqa: E402
from tinytailor.latency_tables import LatencyTable  # noqa: E402
from tinytailor.latency_tables.cost import Cost, network_cost  # noqa: E402
from tinytailor.latency_tables.measuring.measure import measure  # noqa: E402
from tinytailor.nas.network.graphs import placeholder_graph  # noqa: E402
from tinytailor.nas.network.topology import Topology  # noqa: E402
from tinytailor.nas.quantization import QUANTIZERS  # noqa: E402
from tinytailor.nas.spaces import Space, build_space  # noqa: E402
from tinytailor.nas.testing.networks import quantized_network, random_input  # noqa: E402
from tinytailor.targets import Board, cross_toolchain, load_target, require_board  # noqa: E402

RESULTS = HERE / "prediction.json"
SPACES = {"micronas:100x6x4": 50, "image:32x32x3x10": 20}
TARGET = "nucleo-f446re"


@dataclass(frozen=True)
class Row:
    """One network: predicted and profiled; ``summed`` is the flash that a search works with."""

    layers: int
    predicted_ms: float
    profiled_ms: float
    arena_bytes: int
    arena_difference: int
    ram_bytes: int
    ram_difference: int
    flash_bytes: int
    flash_difference: int
    summed_ram_difference: int
    summed_flash_difference: int

    @property
    def error(self) -> float:
        """Of the latency, relative to the profiled one."""
        return self.predicted_ms / self.profiled_ms - 1


def space_of(text: str) -> Space:
    name, _, shape = text.partition(":")
    return build_space(name, *(int(size) for size in shape.split("x")))


def with_weights(topology: Topology, seed: int) -> Graph:
    """The topology with random weights, uneven as training leaves them, quantized by the values it
    takes on random inputs. With biases of zero alone the compiler would merge those of layers."""
    x = random_input(topology, seed)
    return quantized_network(topology, QUANTIZERS["int8"], x, seed).quantized().graph()


def rows(
    space: Space, count: int, seed: int, table: LatencyTable, board: Board
) -> Iterator[tuple[Cost, Row]]:
    """Predicted and profiled costs of ``count`` networks."""
    rng, toolchain = np.random.default_rng(seed), cross_toolchain()
    for index in range(count):
        topology = space.topology(space.sample(rng))
        bare = placeholder_graph(topology)
        cost = network_cost(bare, table, board, weights=False, toolchain=toolchain)
        summed = network_cost(bare, table, board, weights=False)
        with tempfile.TemporaryDirectory() as folder:
            graph = with_weights(topology, seed + index)
            project = Path(folder) / "model"
            profiled = compile_model(graph, board, project, "model", model_sha256="")
        yield cost, _row(cost, summed, profiled)


def _row(cost: Cost, summed: Cost, profiled: dict[str, Any]) -> Row:
    sizes = ("arena_bytes", "ram_bytes", "flash_bytes")
    arena, ram, flash = (getattr(cost, size) - profiled[size] for size in sizes)
    return Row(
        layers=len(profiled["layers"]),
        predicted_ms=cost.latency_ms,
        profiled_ms=profiled["latency_ms"],
        arena_bytes=profiled["arena_bytes"],
        arena_difference=arena,
        ram_bytes=profiled["ram_bytes"],
        ram_difference=ram,
        flash_bytes=profiled["flash_bytes"],
        flash_difference=flash,
        summed_ram_difference=summed.ram_bytes - profiled["ram_bytes"],
        summed_flash_difference=summed.flash_bytes - profiled["flash_bytes"],
    )


def summary(found: list[Row]) -> dict[str, Any]:
    errors = sorted(abs(row.error) for row in found)

    def widest(name: str) -> int:
        return max((getattr(row, name) for row in found), key=abs)

    return {
        "networks": len(found),
        "latency_ms": [min(r.profiled_ms for r in found), max(r.profiled_ms for r in found)],
        "median_error": statistics.median(errors),
        "worst_error": errors[-1],
        **{
            f"{what}_difference": widest(f"{what}_difference")
            for what in ("arena", "ram", "flash", "summed_ram", "summed_flash")
        },
    }


def run(text: str, count: int, seed: int, table: Path | None, board: Board) -> dict[str, Any]:
    """All about the networks of one space; a table that is there already is completed."""
    space, toolchain = space_of(text), cross_toolchain()
    with tempfile.TemporaryDirectory() as folder:
        path = table or Path(folder) / "table.jsonl"
        start = time.monotonic()
        measured = measure(space.keys(str(board.core.isa)), board, toolchain, path)
        print(f"{text}: {len(measured)} rows in {time.monotonic() - start:.0f} s", flush=True)
        found = []
        for _, row in rows(space, count, seed, measured, board):
            found.append(row)
            print(
                f"{len(found):3} {row.layers:3} layers {row.profiled_ms:9.4f} ms "
                f"{row.error:+8.3%}  arena {row.arena_difference:+d} ram {row.ram_difference:+d} "
                f"flash {row.flash_difference:+d} of {row.flash_bytes}  "
                f"(summed: {row.summed_ram_difference:+d}, {row.summed_flash_difference:+d})",
                flush=True,
            )
    return {
        "target": board.name,
        "toolchain": toolchain.version,
        "seed": seed,
        "operators": len(measured),
        "summary": summary(found),
        "rows": [asdict(row) for row in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("spaces", nargs="*", default=list(SPACES), help="as micronas:100x6x4")
    parser.add_argument("--count", type=int, help="networks of each space")
    parser.add_argument("--table", type=Path, help="go on with this latency table")
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="keep the figures and the page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    board = require_board(load_target(arguments.target), "predicting from a latency table")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for text in arguments.spaces:
        count = arguments.count or SPACES.get(text, 20)
        results[text] = run(text, count, arguments.seed, arguments.table, board)
        print(json.dumps(results[text]["summary"], indent=1), flush=True)
    if arguments.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
