# SPDX-License-Identifier: Apache-2.0
"""The compiler's integer graph of a topology with placeholder constants.

Time, memory and flash depend on operators and shapes only, so this graph costs exactly what the
trained network costs; quantizers/base.py builds the same graph with the trained integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.opkey import OpKey, key_of
from tinytailor.compiler.ops import Operator, Reshape
from tinytailor.compiler.passes import optimize
from tinytailor.nas.network.topology import INPUT, Layer, Topology

OUTPUT = "output"
Fill = Callable[[Layer, Operator], tuple[Operator, Mapping[str, np.ndarray]]]


def placeholder_graph(topology: Topology, name: str = "network") -> Graph:
    """The graph with constants of the right shapes and no meaning, for costs."""
    return build_graph(topology, name, {}, _placeholders(topology))


def compiled_keys(topology: Topology, isa: str) -> tuple[OpKey, ...]:
    """The keys of what the layers are compiled to, where some may have become one operator."""
    if not topology.layers:
        return ()
    tensors = {tensor: Tensor(tensor, shape) for tensor, shape in topology.shapes().items()}
    nodes = tuple(_nodes(topology, _placeholders(topology)))
    graph = Graph("layers", (INPUT,), (nodes[-1].output,), tensors, nodes)
    compiled, _ = optimize(graph, weights=False)
    return tuple(key_of(node, compiled, isa) for node in computing(compiled))


def _placeholders(topology: Topology) -> Fill:
    shapes = topology.shapes()

    def fill(layer: Layer, op: Operator) -> tuple[Operator, Mapping[str, np.ndarray]]:
        inputs = tuple(shapes[source] for source in layer.sources)
        specs = op.constants(*inputs)
        return op, {role: np.ones(spec.shape, spec.dtype) for role, spec in specs.items()}

    return fill


def build_graph(
    topology: Topology, name: str, quantization: Mapping[str, tuple[float, int]], fill: Fill
) -> Graph:
    """``quantization``: (scale, zero point) by tensor name; ``fill`` completes each operator."""
    tensors = {
        tensor: Tensor(tensor, shape, "int8", *quantization.get(tensor, (1.0, 0)))
        for tensor, shape in topology.shapes().items()
    }
    nodes = _nodes(topology, fill)
    pooled = tensors[topology.layers[-1].name]
    logits = Tensor(OUTPUT, (1, pooled.shape[3]), "int8", pooled.scale, pooled.zero_point)
    nodes.append(Node("flatten", Reshape(logits.shape), (pooled.name,), OUTPUT))
    return check(Graph(name, (INPUT,), (OUTPUT,), {**tensors, OUTPUT: logits}, tuple(nodes)))


def _nodes(topology: Topology, fill: Fill) -> list[Node]:
    nodes = []
    for layer, neutral, _ in topology.operators():
        op, constants = fill(layer, neutral)
        nodes.append(Node(layer.name, op, layer.sources, layer.name, constants))
    return nodes
