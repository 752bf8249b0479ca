# SPDX-License-Identifier: Apache-2.0
"""A node of a graph as the C function that computes it."""

from __future__ import annotations

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.c_function import Kernel, print_kernel
from tinytailor.compiler.kernels.registry import choose, lower
from tinytailor.compiler.kernels.variant import Choice


def lower_node(
    graph: Graph, node: Node, isa: str, symbol: str, choice: Choice | None = None
) -> Kernel:
    """The C function of one node under the name ``symbol``, by the preferred kernel unless told."""
    shapes = graph.input_shapes(node)
    choice = choice or choose(node.op, shapes, isa)
    lowered = lower(node.op, shapes, node.constants, isa, choice)
    return print_kernel(lowered, choice, symbol, shapes, graph.tensors[node.output].shape)
