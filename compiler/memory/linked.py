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
from tinytailor.compiler.mcu import project, source
from tinytailor.compiler.memory.aliasing import places
from tinytailor.compiler.memory.plan import plan_kernels
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
    network = source.lower_graph(graph, isa, NAME) if weights else _placeholder(graph, isa)
    with tempfile.TemporaryDirectory(prefix="tinytailor-sizes-") as name:
        folder = Path(name)
        project.write_sources(network, board, toolchain, folder, "")
        elf, sizes = project.build_program(folder, NAME, board, toolchain, folder)
        stack = worst_stack(elf, f"{NAME}_invoke")
    arena = network.plan.arena_bytes
    return ImageMemory(arena, sizes.ram_static_bytes, stack, sizes.flash_bytes)


def _placeholder(graph: Graph, isa: str) -> source.Network:
    """The network with the code of its operators' keys, and constants of which no two are equal."""
    rng = np.random.default_rng(0)
    found, symbols = places(graph), source.layer_symbols(graph, NAME)
    examples = example_kernels(graph, found.views, isa)
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
        for node, kernel in examples.items()
    }
    kinds = {node.name: node.op.kind for node in graph.nodes}
    shared = source.share_code(NAME, kernels, kinds)
    return source.Network(NAME, graph, shared, plan_kernels(graph, found, examples))
