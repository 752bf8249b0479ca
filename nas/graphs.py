# SPDX-License-Identifier: Apache-2.0
"""The compiler's integer graph of a topology with placeholder constants.

Time, memory and flash depend on operators and shapes only, so this graph costs exactly what the
trained network costs; quantizers/base.py builds the same graph with the trained integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.ops import Operator, Reshape
from tinytailor.nas.topology import INPUT, Layer, Topology

OUTPUT = "output"
Fill = Callable[[Layer, Operator], tuple[Operator, Mapping[str, np.ndarray]]]


def placeholder_graph(topology: Topology, name: str = "network") -> Graph:
    """The graph with constants of the right shapes and no meaning, for costs."""
    shapes = topology.shapes()

    def fill(layer: Layer, op: Operator) -> tuple[Operator, Mapping[str, np.ndarray]]:
        inputs = tuple(shapes[source] for source in layer.sources)
        expected = op.constant_shapes(*inputs)
        return op, {role: np.ones(shape, dtype) for role, (shape, dtype) in expected.items()}

    return build_graph(topology, name, {}, fill)


def build_graph(
    topology: Topology, name: str, quantization: Mapping[str, tuple[float, int]], fill: Fill
) -> Graph:
    """``quantization``: (scale, zero point) by tensor name; ``fill`` completes each operator."""
    tensors = {
        tensor: Tensor(tensor, shape, "int8", *quantization.get(tensor, (1.0, 0)))
        for tensor, shape in topology.shapes().items()
    }
    nodes = []
    for layer, neutral, _ in topology.operators():
        op, constants = fill(layer, neutral)
        nodes.append(Node(layer.name, op, layer.sources, layer.name, constants))
    pooled = tensors[topology.layers[-1].name]
    logits = Tensor(OUTPUT, (1, pooled.shape[3]), "int8", pooled.scale, pooled.zero_point)
    nodes.append(Node("flatten", Reshape(logits.shape), (pooled.name,), OUTPUT))
    return check(Graph(name, (INPUT,), (OUTPUT,), {**tensors, OUTPUT: logits}, tuple(nodes)))
