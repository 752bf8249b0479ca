#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/spaces.md: how large the spaces are, and their smallest and largest networks.

usage: python benchmarks/spaces_page.py [--write]
"""

from __future__ import annotations

import argparse
from math import prod
from pathlib import Path

from tinytailor.compiler import constant_bytes, plan_memory
from tinytailor.compiler.passes import optimize
from tinytailor.nas.network.graphs import placeholder_graph
from tinytailor.nas.spaces import SPACES, Architecture, Space, parse_space
from tinytailor.targets.files import write_text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "spaces.md"
ISA = "dsp"
LARGER = ("micronas:128x9x6", "image:96x96x3x10")

HEAD = """# Spaces

Written by `python benchmarks/spaces_page.py --write`; a test keeps it true.

Operators are the rows that a table of a Cortex-M4 needs, alone and as they are fused. Products,
arena and constants are those of a space's smallest network, the first option of every decision, and
of its largest.

| space | decisions | networks | operators | products | arena | constants |
| --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    shown = [f"{n}:{'x'.join(map(str, kind.example))}" for n, kind in SPACES.items()]
    return HEAD + "".join(row(parse_space(spec)) for spec in (*shown, *LARGER))


def row(space: Space) -> str:
    networks = prod(len(decision.options) for decision in space.decisions)
    small, large = (size(space, arch) for arch in (space.smallest(), space.largest()))
    ranges = [f"{a} to {b}" for a, b in zip(small, large, strict=True)]
    counts = (str(len(space.decisions)), f"{networks:.1e}", str(len(space.keys(ISA))))
    return f"| {' | '.join((f'`{space.spec}`', *counts, *ranges))} |\n"


def size(space: Space, arch: Architecture) -> tuple[str, str, str]:
    """Products, arena and constants of a network."""
    graph, _ = optimize(placeholder_graph(space.topology(arch)), weights=False)
    arena, constants = plan_memory(graph, ISA).arena_bytes, constant_bytes(graph, ISA)
    return f"{graph.macs / 1e6:.2f} M", f"{arena / 1024:.1f} KiB", f"{constants / 1024:.0f} KiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    text = page()
    if parser.parse_args().write:
        write_text(PAGE, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
