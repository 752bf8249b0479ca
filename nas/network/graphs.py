# SPDX-License-Identifier: Apache-2.0
"""The compiler's integer graph of a topology, with placeholder constants or with trained ones.

Time, memory and flash depend on operators and shapes only, so the graph of placeholders costs
exactly what the trained network costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from tinytailor.compiler.ir import Constants, Graph, Node, Shapes, Tensor, check
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.opkey import OpKey, key_of
from tinytailor.compiler.ops import Operator
from tinytailor.compiler.passes import optimize
from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Filled
from tinytailor.nas.layers.logits import flat_node
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.quantization import Affine

OUTPUT = "output"
Fill = Callable[[PlacedStep], Filled]


def placeholder_graph(topology: Topology, name: str = "network") -> Graph:
    """The graph with constants of the right shapes and no meaning, for costs."""
    return _whole(topology, name, tensors_of(topology, {}), _placeholder)


def compiled_keys(topology: Topology, isa: str) -> tuple[OpKey, ...]:
    """The keys of what the layers are compiled to, where some may have become one operator."""
    if not topology.layers:
        return ()
    nodes = _nodes(topology, _placeholder)
    inputs, tensors = tuple(topology.inputs), tensors_of(topology, {})
    graph = Graph("layers", inputs, (topology.output,), tensors, nodes)
    compiled, _ = optimize(graph, weights=False)
    return tuple(key_of(node, compiled, isa) for node in computing(compiled))


def tensors_of(topology: Topology, activations: Mapping[str, Affine]) -> dict[str, Tensor]:
    """Every tensor by name, with the quantization that ``activations`` has for it."""
    neutral, entering = Affine(1.0, 0), input_type(topology)
    return {
        name: Tensor(name, shape, dtype, affine.scale, affine.zero_point)
        for name, shape in topology.shapes.items()
        for affine in (activations.get(name, neutral),)
        for dtype in (entering if name == INPUT else "int8",)
    }


def input_type(topology: Topology) -> str:
    """int16 where the network reads the samples of a sensor."""
    readers = [step for step in topology.steps if INPUT in step.sources]
    return readers[0].operator.dtypes("int8")[0] if readers else "int8"


def build_graph(topology: Topology, name: str, tensors: Mapping[str, Tensor], fill: Fill) -> Graph:
    """The whole network over ``tensors``, checked; ``fill`` completes each operator."""
    return check(_whole(topology, name, tensors, fill))


def _whole(topology: Topology, name: str, tensors: Mapping[str, Tensor], fill: Fill) -> Graph:
    last = tensors[topology.output]
    logits = Tensor(OUTPUT, (1, last.shape[3]), "int8", last.scale, last.zero_point)
    nodes = (*_nodes(topology, fill), flat_node(last.name, last.shape[3], OUTPUT))
    return Graph(name, (INPUT,), (OUTPUT,), {**tensors, OUTPUT: logits}, nodes)


def _nodes(topology: Topology, fill: Fill) -> tuple[Node, ...]:
    nodes = []
    for step in topology.steps:
        op, constants = fill(step)
        nodes.append(Node(step.name, op, step.sources, step.name, constants))
    return tuple(nodes)


def _placeholder(step: PlacedStep) -> Filled:
    return step.operator, _ones(step.operator, step.shapes)


@lru_cache(maxsize=4096)
def _ones(op: Operator, shapes: Shapes) -> Constants:
    """Constants of one element each, seen in the shapes that they need."""
    specs = op.constants(*shapes)
    return {
        role: np.broadcast_to(np.ones((), spec.dtype), spec.shape) for role, spec in specs.items()
    }
