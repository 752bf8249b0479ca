# SPDX-License-Identifier: Apache-2.0
"""docs/prediction.md from the figures of prediction.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "prediction.md"

_HEAD = """\
# Predicted and profiled

How far the cost that a search sees is from that of the project it ends in. Written by
`python benchmarks/prediction.py --write`; everything here is emulated and modelled, nothing was
measured on a board.

Networks are drawn at random from a search space. Each is predicted from its layers alone, before it
has weights: latency is the sum of rows of a latency table, in which every operator was measured by
itself, plus the glue of the table's header; RAM and flash are those of its program, compiled and
linked. Then it gets random weights, and scales and zero points from the values it takes on random
inputs; `tinytailor compile` makes a project of it, which is run on the emulated board. The latency
error is relative to that run, both by the same board model, so it says what adding up operators
costs, and not how far the board model is from a board ([latency model](latency-model.md)).
What is left of it are branches that depend on data, as in the rounding of a mean, and calls of
layers, which the glue counts with their mean.

| space | board | networks | layers | ms | median error | worst error | arena | RAM | flash |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

_TAIL = """
Arena, RAM and flash: the largest difference of a predicted size from the project's, in bytes.

A search that compares thousands of networks adds up RAM and flash from the table, too, without a
compiler. That is off by a few bytes, for the code between the layers varies:

| space | board | RAM summed, largest difference | flash summed, largest difference | of flash |
| --- | --- | --- | --- | --- |
"""


def page(results: dict[str, Any]) -> str:
    exact, summed = [], []
    for space, result in results.items():
        found, rows = result["summary"], result["rows"]
        layers = [row["layers"] for row in rows]
        low, high = found["latency_ms"]
        flash = [row["flash_bytes"] for row in rows]
        exact.append(
            f"| `{space}` | {result['target']} | {found['networks']} | {min(layers)}-{max(layers)} "
            f"| {low:.2f}-{high:.2f} | {found['median_error']:.3%} | {found['worst_error']:.3%} "
            f"| {found['arena_difference']} | {found['ram_difference']} "
            f"| {found['flash_difference']} |\n"
        )
        summed.append(
            f"| `{space}` | {result['target']} | {found['summed_ram_difference']} "
            f"| {found['summed_flash_difference']} | {min(flash):,}-{max(flash):,} |\n"
        )
    compilers = ", ".join(sorted({result["toolchain"] for result in results.values()}))
    return f"{_HEAD}{''.join(exact)}{_TAIL}{''.join(summed)}\nCompiler: {compilers}.\n"
