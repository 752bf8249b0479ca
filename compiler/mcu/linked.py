# SPDX-License-Identifier: Apache-2.0
"""What the program of a network takes, from the compiler and the linker: no formula stands in.

The network is emitted as `tinytailor compile` emits it, compiled and linked, and not run. Code
depends on operator keys only, so that holds before there are weights, too.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.build import build_program
from tinytailor.compiler.mcu.interface import entry, symbol
from tinytailor.compiler.mcu.program import Program, lower_graph, make_program
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.memory.aliasing import places
from tinytailor.compiler.memory.predicted import example_kernels
from tinytailor.targets import Board, Toolchain
from tinytailor.targets.stack import worst_stack

NAME = "model"


@dataclass(frozen=True, slots=True)
class ImageMemory:
    """What the linked program of a network takes, as `tinytailor compile` reports it."""

    arena_bytes: int
    ram_static_bytes: int
    stack_bytes: int
    flash_bytes: int

    @property
    def ram_bytes(self) -> int:
        return self.ram_static_bytes + self.stack_bytes


def image_memory(
    graph: Graph, board: Board, toolchain: Toolchain, *, weights: bool = True
) -> ImageMemory:
    """Memory of the program of ``graph``, which is emitted, compiled and linked for ``board``.

    ``weights=False`` if its constants are placeholders: then no two arrays are taken for equal.
    """
    isa = str(board.core.isa)
    program = lower_graph(graph, isa, NAME) if weights else placeholder(graph, isa)
    with tempfile.TemporaryDirectory(prefix="tinytailor-sizes-") as name:
        folder = Path(name)
        write_sources(program, board, toolchain, folder, "")
        elf, sizes = build_program(folder, NAME, board, toolchain, folder)
        stack = worst_stack(elf, entry(NAME))
    arena = program.plan.arena_bytes
    return ImageMemory(arena, sizes.ram_static_bytes, stack, sizes.flash_bytes)


def placeholder(graph: Graph, isa: str) -> Program:
    """The program with the code of its operators' keys, and constants of which no two are equal."""
    rng, found = np.random.default_rng(0), places(graph)
    symbols = {node.name: symbol(NAME, i, node) for i, node in enumerate(graph.nodes)}
    kernels = {
        node: replace(
            kernel,
            symbol=symbols[node],
            code=f"{symbols[node]}_code" if kernel.has_record else symbols[node],
            constants={
                role: np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape)
                for role, array in kernel.constants.items()
            },
        )
        for node, kernel in example_kernels(graph, found.views, isa).items()
    }
    return make_program(NAME, graph, found, kernels)
