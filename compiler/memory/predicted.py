# SPDX-License-Identifier: Apache-2.0
"""Exact memory of a graph before it is emitted: the arena and the constants of the code to come.

Both come from the same lowering that emits the code; operators are lowered once and remembered by
key, so that a search asking about thousands of networks lowers each operator once. Where the values
of constants decide how near an output may lie to its input, the key does not say it: such a node is
lowered with the constants that it has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache

import numpy as np

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.c_function import Kernel
from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.memory.aliasing import places
from tinytailor.compiler.memory.plan import MemoryPlan, plan_kernels
from tinytailor.compiler.opkey import OpKey, example_graph, key_of


@lru_cache(maxsize=65536)
def example_kernel(key: OpKey) -> Kernel:
    """The kernel of the operator ``key`` stands for; its constants have shapes but no memory."""
    graph = example_graph(key)
    return _hollow_kernel(graph, graph.nodes[0], key.isa)


def _hollow_kernel(graph: Graph, node: Node, isa: str) -> Kernel:
    kernel = lower_node(graph, node, isa, "kernel")
    hollow = {
        role: np.broadcast_to(np.zeros((), array.dtype), array.shape)
        for role, array in kernel.constants.items()
    }
    return replace(kernel, constants=hollow)


def _kernel_of(graph: Graph, node: Node, isa: str) -> Kernel:
    if node.op.placed_by_constants:
        return _hollow_kernel(graph, node, isa)
    return example_kernel(key_of(node, graph, isa))


def example_kernels(graph: Graph, views: Collection[str], isa: str) -> dict[str, Kernel]:
    """Of all nodes but ``views``, by name."""
    running = (node for node in graph.nodes if node.name not in views)
    return {node.name: _kernel_of(graph, node, isa) for node in running}


def kernel_bytes(key: OpKey) -> tuple[int, int]:
    """Bytes of scratch memory and of constants of an operator."""
    kernel = example_kernel(key)
    return kernel.scratch_bytes, kernel.constant_bytes


def plan_memory(graph: Graph, isa: str) -> MemoryPlan:
    """The arena plan of the C that ``graph`` compiles to, to the byte."""
    found = places(graph)
    return plan_kernels(graph, found, example_kernels(graph, found.views, isa))


def constant_bytes(graph: Graph, isa: str) -> int:
    """Bytes of constants in flash, as packed by the kernels, with the gaps between them."""
    kernels = example_kernels(graph, places(graph).views, isa)
    return sum(kernel.placed_bytes for kernel in kernels.values())
