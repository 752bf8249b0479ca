# SPDX-License-Identifier: Apache-2.0
"""A vector over its length as the one operator that it is; frameworks write it in parts.

    Div(x, Expand(Clip(ReduceL2(x), 1e-12)))   ->   LpNormalization(x)

Clip (or Max) and Expand may be missing: the bound only keeps zeros from being divided by zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SMALL = 1e-4  # a bound below it is there for zeros


def rewrite(model: Any) -> None:
    """In place; what nothing reads any more is gone."""
    graph = model.graph
    parts = Parts(
        {name: node for node in graph.node for name in node.output},
        {tensor.name: tensor for tensor in graph.initializer},
    )
    changed = False
    for node in graph.node:
        axis = None if node.op_type != "Div" else parts.axis_of_norm(*node.input)
        if axis is not None:
            changed = True
            become_normalization(node, axis)
    if changed:
        remove_unread(graph)


@dataclass(frozen=True, slots=True)
class Parts:
    """The node that makes each tensor, and the constants."""

    makers: Mapping[str, Any]
    initializers: Mapping[str, Any]

    def constant(self, name: str) -> np.ndarray | None:
        from onnx import numpy_helper

        node, tensor = self.makers.get(name), self.initializers.get(name)
        if node is not None and node.op_type == "Constant":
            tensor = attributes(node).get("value")
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def axis_of_norm(self, x: str, length: str) -> int | None:
        """The axis if ``length`` is that of the vectors in ``x`` along one axis, kept as 1."""
        node = self.makers.get(length)
        if node is not None and node.op_type == "Expand":
            node = self.makers.get(node.input[0])
        if node is not None and node.op_type in ("Clip", "Max"):
            bounds = [self.constant(name) for name in node.input[1:] if name]
            bounds += [np.array(v) for n, v in attributes(node).items() if n in ("min", "max")]
            if len(bounds) != 1 or bounds[0] is None or not 0 <= bounds[0].max() <= SMALL:
                return None
            node = self.makers.get(node.input[0])
        if node is None or node.op_type != "ReduceL2" or node.input[0] != x:
            return None
        known = attributes(node)
        axes = self.constant(node.input[1]) if len(node.input) > 1 else known.get("axes")
        if axes is None or len(np.ravel(axes)) != 1 or not known.get("keepdims", 1):
            return None
        return int(np.ravel(axes)[0])


def attributes(node: Any) -> dict[str, Any]:
    from onnx.helper import get_attribute_value

    return {item.name: get_attribute_value(item) for item in node.attribute}


def become_normalization(node: Any, axis: int) -> None:
    from onnx import helper

    node.op_type = "LpNormalization"
    del node.input[1:]
    node.attribute.extend([helper.make_attribute("axis", axis), helper.make_attribute("p", 2)])


def remove_unread(graph: Any) -> None:
    """Nodes whose results nothing reads, from the end on."""
    read = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in read for name in node.output):
            read.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
