# SPDX-License-Identifier: Apache-2.0
"""A node of a graph as the C function that computes it."""

from __future__ import annotations

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.bricks.kernel import Kernel, print_kernel
from tinytailor.compiler.ops.base import HasKernel


def lower_node(graph: Graph, node: Node, isa: str, symbol: str) -> Kernel:
    """The C function of one node under the name ``symbol``."""
    shapes = graph.input_shapes(node)
    assert isinstance(node.op, HasKernel), node.name  # the back end has listed those without
    lowered = node.op.lower(shapes, node.constants, isa)
    return print_kernel(lowered, symbol, shapes, graph.tensors[node.output].shape)
