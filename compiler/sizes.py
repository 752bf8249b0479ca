# SPDX-License-Identifier: Apache-2.0
"""Exact memory of a graph before it is emitted: the arena and the constants of the code to come.

Both come from the same lowering that emits the code; results of operators are remembered by key,
so that a search asking about thousands of networks lowers each operator once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.memory import MemoryPlan, plan
from tinytailor.compiler.opkey import OpKey, example_graph, key_of
from tinytailor.compiler.places import computing


@lru_cache(maxsize=65536)
def _kernel_sizes(key: OpKey) -> tuple[int, int, Mapping[int, int]]:
    """(scratch bytes, constant bytes, inputs that may be written over) of an operator."""
    from tinytailor.compiler.mcu.source import lower_node

    graph = example_graph(key)
    kernel = lower_node(graph, graph.nodes[0], key.isa, "kernel")
    return kernel.scratch_bytes, kernel.constant_bytes, kernel.overlap


def kernel_bytes(key: OpKey) -> tuple[int, int]:
    """Bytes of scratch memory and of constants of an operator."""
    return _kernel_sizes(key)[:2]


def plan_memory(graph: Graph, isa: str) -> MemoryPlan:
    """The arena plan of the C that ``graph`` compiles to, to the byte."""
    sizes = {n.name: _kernel_sizes(key_of(n, graph, isa)) for n in computing(graph)}
    scratch = {name: size[0] for name, size in sizes.items()}
    overlap = {name: size[2] for name, size in sizes.items()}
    return plan(graph, scratch, overlap)


def constant_bytes(graph: Graph, isa: str) -> int:
    """Bytes of constants in flash, as packed by the kernels."""
    return sum(_kernel_sizes(key_of(node, graph, isa))[1] for node in computing(graph))
