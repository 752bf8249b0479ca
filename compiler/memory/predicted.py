# SPDX-License-Identifier: Apache-2.0
"""Exact memory of a graph before it is emitted: the arena and the constants of the code to come.

Both come from the same lowering that emits the code; operators are lowered once and remembered by
key, so that a search asking about thousands of networks lowers each operator once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.memory.plan import MemoryPlan, plan
from tinytailor.compiler.opkey import OpKey, example_graph, key_of

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.c_function import Kernel


@lru_cache(maxsize=65536)
def example_kernel(key: OpKey) -> Kernel:
    """The kernel of the operator ``key`` stands for; its constants have shapes but no memory."""
    from tinytailor.compiler.mcu import source  # prints with TVM

    graph = example_graph(key)
    kernel = source.lower_node(graph, graph.nodes[0], key.isa, "kernel")
    hollow = {
        role: np.broadcast_to(np.zeros((), array.dtype), array.shape)
        for role, array in kernel.constants.items()
    }
    return replace(kernel, constants=hollow)


def example_kernels(graph: Graph, isa: str) -> dict[str, Kernel]:
    return {node.name: example_kernel(key_of(node, graph, isa)) for node in computing(graph)}


def kernel_bytes(key: OpKey) -> tuple[int, int]:
    """Bytes of scratch memory and of constants of an operator."""
    kernel = example_kernel(key)
    return kernel.scratch_bytes, kernel.constant_bytes


def plan_memory(graph: Graph, isa: str) -> MemoryPlan:
    """The arena plan of the C that ``graph`` compiles to, to the byte."""
    return plan_of(graph, example_kernels(graph, isa))


def plan_of(graph: Graph, kernels: Mapping[str, Kernel]) -> MemoryPlan:
    scratch = {name: kernel.scratch_bytes for name, kernel in kernels.items()}
    overlap = {name: kernel.overlap for name, kernel in kernels.items()}
    return plan(graph, scratch, overlap)


def constant_bytes(graph: Graph, isa: str) -> int:
    """Bytes of constants in flash, as packed by the kernels, with the gaps between them."""
    return sum(kernel.placed_bytes for kernel in example_kernels(graph, isa).values())
