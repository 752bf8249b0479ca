# SPDX-License-Identifier: Apache-2.0
"""What an emitted network costs besides its operators, found on chains of 2 and of 10 layers.

Both chains are built and run like any network; what is counted outside the layers' functions, and
what the image holds besides their code and constants, is the glue. Two points give base and slope.
The stack of a chain less the stack of its layer called alone is the frame of the invoke function.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import ORDINARY
from tinytailor.latency_tables.measuring.library import library_functions
from tinytailor.latency_tables.table.records import Glue, Work
from tinytailor.targets import Board, Toolchain
from tinytailor.targets.stack import worst_stack

SHORT, LONG = 2, 10
SHAPE = (1, 4, 4, 8)


@dataclass(frozen=True, slots=True)
class _Rest:
    """One chain without its layers: work, bytes of flash and of static RAM, and of stack."""

    work: Work
    flash_bytes: int
    static_bytes: int
    stack_bytes: int


def aligned(size: int) -> int:
    """Up to a multiple of 8, as the arena and the stack at a call are aligned."""
    return -(-size // 8) * 8


def in_words(size: int) -> int:
    """Up to a multiple of 4, as functions and constants are aligned."""
    return -(-size // 4) * 4


def measure_glue(board: Board, toolchain: Toolchain, runner: str) -> Glue:
    short, long = (_measure(_chain(n), board, toolchain, runner) for n in (SHORT, LONG))
    per_node = (long.work - short.work).over(LONG - SHORT)
    node_bytes = max(0, round((long.flash_bytes - short.flash_bytes) / (LONG - SHORT)))
    return Glue(
        base=short.work - per_node.times(SHORT),
        per_node=per_node,
        image_bytes=short.flash_bytes - node_bytes * SHORT,
        node_bytes=node_bytes,
        static_bytes=short.static_bytes,
        stack_bytes=max(0, long.stack_bytes - _layer_stack_bytes(board, toolchain)),
    )


def _chain(length: int) -> Graph:
    """``length`` layers as most are."""
    tensors = [Tensor(f"t{i}", SHAPE) for i in range(length + 1)]
    nodes = tuple(
        Node(
            f"n{i}",
            ORDINARY,
            (f"t{i}",),
            f"t{i + 1}",
            example_constants(ORDINARY, (SHAPE,), seed=i),
        )
        for i in range(length)
    )
    ends = (tensors[0].name,), (tensors[-1].name,)
    return check(Graph("glue", *ends, {tensor.name: tensor for tensor in tensors}, nodes))


def _measure(graph: Graph, board: Board, toolchain: Toolchain, runner: str) -> _Rest:
    from tinytailor.compiler.mcu.build import build
    from tinytailor.compiler.mcu.program import lower_graph  # loads TVM
    from tinytailor.compiler.mcu.project import write_sources
    from tinytailor.compiler.mcu.run import invoke

    program = lower_graph(graph, board.core.isa, graph.name)
    with tempfile.TemporaryDirectory(prefix="tinytailor-glue-") as name:
        folder = Path(name)
        write_sources(program, board, toolchain, folder, "")
        image = build(folder, graph.name, board, toolchain, folder, runner)
        x = np.zeros(SHAPE, np.int8)
        results, _ = invoke(image, program.interface, board, [x], count=True)
        stack = worst_stack(image.elf, program.interface.entry)
    functions = {
        name for kernel in program.kernels.values() for name in (kernel.symbol, kernel.code)
    }
    code = sum(in_words(image.sizes.symbols[function][1]) for function in functions)
    library = library_functions(image.sizes, board, own=f"{graph.name}_").values()
    constants = sum(kernel.placed_bytes for kernel in program.kernels.values())
    border = sum(aligned(graph.tensors[name].bytes) for name in (*graph.inputs, *graph.outputs))
    return _Rest(
        Work.of(results[0].counts[""]),
        image.sizes.flash_bytes
        - board.boot_bytes  # which others of the same core may lack
        - code
        - constants
        - sum(map(in_words, library)),
        max(0, image.sizes.ram_static_bytes - program.plan.arena_bytes - border),
        stack,
    )


def _layer_stack_bytes(board: Board, toolchain: Toolchain) -> int:
    from tinytailor.compiler.mcu import kernel_image

    with tempfile.TemporaryDirectory(prefix="tinytailor-glue-") as folder:
        image = kernel_image([("layer", _chain(1))], board, toolchain, Path(folder))
        return worst_stack(image.elf, image.kernels[0].symbol)
