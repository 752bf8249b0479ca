# SPDX-License-Identifier: Apache-2.0
"""What values a channel can take at all: for every tensor, low and high by channel (last axis).

A channel with low = high is constant: its weights or its multiplier are zero, or a ReLU cuts all of
it off.
"""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.ops.traits.ranges import Range, full


def ranges(graph: Graph) -> dict[str, Range]:
    known = {}
    for name in graph.inputs:
        ends = np.iinfo(graph.tensors[name].dtype)
        known[name] = full(graph.tensors[name].shape[-1], ends.min, ends.max)
    for node in graph.nodes:
        reads = tuple(known[name] for name in node.inputs)
        known[node.output] = node.op.ranges(reads, graph.input_shapes(node), node.constants)
    return known
