# SPDX-License-Identifier: Apache-2.0
"""Many single operators in one image, for measuring them one by one.

The functions have the very text they have in a network; only their storage class differs, so that
the runner finds them. Each is compiled in a file of its own: gcc breaks ties between registers by
what it saw before in a file, and counts shall not depend on what an operator is measured with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.kernels.c_function import Kernel
from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.kernels.variant import Choice
from tinytailor.compiler.mcu import c_text
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.targets import Board, Buffer, Call, Toolchain, build_for, image_sizes
from tinytailor.targets.errors import InputError

_HEAD = """\
#include <stddef.h>
#include <stdint.h>
#include <string.h>
"""


@dataclass(frozen=True, slots=True)
class KernelInfo:
    """Sizes of one kernel in bytes; ``constant_bytes`` as the constants lie in flash.

    ``code_bytes`` may be shared with others of the same code; ``entry_bytes``, of the function that
    hands it the constants, is not.
    """

    symbol: str
    input_bytes: tuple[int, ...]
    output_bytes: int
    scratch_bytes: int
    constant_bytes: int
    code_bytes: int
    entry_bytes: int


@dataclass(frozen=True, slots=True)
class KernelImage:
    elf: Path
    kernels: tuple[KernelInfo, ...]

    def call(self, index: int, rng: np.random.Generator) -> Call:
        """A call of kernel ``index`` on random inputs."""
        kernel = self.kernels[index]
        buffers = [Buffer(size, rng.bytes(size), constant=True) for size in kernel.input_bytes]
        buffers.append(Buffer(kernel.output_bytes, read_back=True))
        if kernel.scratch_bytes:
            buffers.append(Buffer(kernel.scratch_bytes))
        return Call(kernel.symbol, tuple(buffers))


def kernel_image(
    graphs: Sequence[tuple[str, Graph]],
    board: Board,
    toolchain: Toolchain,
    folder: Path,
    runner: str = "emulator",
    choices: Sequence[Choice] = (),
) -> KernelImage:
    """Build an image with one function per (symbol, single-node graph) into ``folder``.

    ``choices``: the kernel of each graph; the preferred ones if there are none.
    For a ``runner`` "serial:PORT" it is the firmware of the board, which calls them on request.
    """
    kernels = []
    for (symbol, graph), choice in zip(graphs, choices or (None,) * len(graphs), strict=True):
        if len(graph.nodes) != 1 or not computing(graph):
            raise InputError(f"kernel {symbol}: expected a graph of one computing node")
        kernels.append(lower_node(graph, graph.nodes[0], board.core.isa, symbol, choice))
    elf = folder / "kernels.elf"
    pointers = {
        kernel.symbol: len(graph.inputs) + 1 + bool(kernel.scratch_bytes)
        for kernel, (_, graph) in zip(kernels, graphs, strict=True)
    }
    texts = [_write(kernel, folder) for kernel in kernels]
    build_for(runner, texts, elf, board, toolchain, pointers)
    sizes = image_sizes(elf).symbols
    infos = [
        KernelInfo(
            kernel.symbol,
            tuple(graph.tensors[name].bytes for name in graph.inputs),
            graph.tensors[graph.outputs[0]].bytes,
            kernel.scratch_bytes,
            kernel.constant_bytes,
            sizes[kernel.code][1],
            sizes[kernel.symbol][1] if kernel.has_record else 0,
        )
        for kernel, (_, graph) in zip(kernels, graphs, strict=True)
    ]
    return KernelImage(elf, tuple(infos))


def _write(kernel: Kernel, folder: Path) -> Path:
    parts = [_HEAD, c_text.MACROS, *c_text.helper_texts([kernel])]
    if kernel.has_record:
        parts.append(c_text.code_text(kernel))
    parts.append(c_text.layer_text(kernel, kernel.symbol, {}, "__attribute__((noinline))"))
    text = folder / f"{kernel.symbol}.c"
    text.write_text("\n".join(parts))
    return text
