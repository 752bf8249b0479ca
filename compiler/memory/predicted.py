# SPDX-License-Identifier: Apache-2.0
"""Exact memory of a graph before it is emitted: the arena and the constants of the code to come.

Both come from the same lowering that emits the code; operators are lowered once and remembered by
key, so that a search asking about thousands of networks lowers each operator once. Where the values
of constants decide how near an output may lie to its input, the key does not say it: such a node is
lowered with the constants that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.c_function import Kernel
from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.memory.aliasing import Places, places
from tinytailor.compiler.memory.plan import MemoryPlan, plan
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
    one = footprint(key)
    return one.scratch_bytes, one.constant_bytes


@dataclass(frozen=True, slots=True)
class Footprint:
    """All that a price needs to know of a kernel: bytes of its scratch memory, bytes of its
    constants in flash, the same with the gaps between them, and how far it lets its output lie over
    which input (see plan.py)."""

    scratch_bytes: int
    constant_bytes: int
    placed_bytes: int
    overlap: Mapping[int, int]

    @classmethod
    def of(cls, kernel: Kernel) -> Footprint:
        constants = kernel.constant_bytes, kernel.placed_bytes
        return cls(kernel.scratch_bytes, *constants, kernel.overlap)


@lru_cache(maxsize=65536)
def footprint(key: OpKey) -> Footprint:
    return Footprint.of(example_kernel(key))


def footprint_of(graph: Graph, node: Node, key: OpKey) -> Footprint:
    """Of a node, whose key is ``key``."""
    if node.op.placed_by_constants:
        return Footprint.of(_hollow_kernel(graph, node, key.isa))
    return footprint(key)


def plan_footprints(graph: Graph, found: Places, footprints: Mapping[str, Footprint]) -> MemoryPlan:
    """The arena plan of ``graph``, with what its running nodes need by name."""
    scratch = {node: one.scratch_bytes for node, one in footprints.items()}
    overlap = {node: one.overlap for node, one in footprints.items()}
    return plan(graph, found, scratch, overlap)


def _footprints(graph: Graph, views: Collection[str], isa: str) -> dict[str, Footprint]:
    running = (node for node in graph.nodes if node.name not in views)
    return {node.name: footprint_of(graph, node, key_of(node, graph, isa)) for node in running}


def plan_memory(graph: Graph, isa: str) -> MemoryPlan:
    """The arena plan of the C that ``graph`` compiles to, to the byte."""
    found = places(graph)
    return plan_footprints(graph, found, _footprints(graph, found.views, isa))


def constant_bytes(graph: Graph, isa: str) -> int:
    """Bytes of constants in flash, as packed by the kernels, with the gaps between them."""
    footprints = _footprints(graph, places(graph).views, isa)
    return sum(one.placed_bytes for one in footprints.values())
