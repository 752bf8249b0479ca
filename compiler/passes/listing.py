# SPDX-License-Identifier: Apache-2.0
"""A graph as text, one line a node: for reading and for comparing stages.

input  x: 1x13x9x3 int8, scale 0.05, zero point -5
conv2d layer_a: x 1x13x9x3 -> a 1x13x9x16, scale 0.1, zero point 3; kernel 3x3, ...
output z: 1x7 int8, ...
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from tinytailor.compiler.ir import Graph, Node, Shape, Tensor
from tinytailor.compiler.ops.window import Window


def listing(graph: Graph) -> str:
    lines = [f"graph {graph.name}: {len(graph.nodes)} nodes, {graph.macs:,} MACs"]
    lines += [f"input {_border(graph.tensors[name])}" for name in graph.inputs]
    lines += [_node(graph, node) for node in graph.nodes]
    lines += [f"output {_border(graph.tensors[name])}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def _border(tensor: Tensor) -> str:
    return f"{_tensor(tensor)} {tensor.dtype}, {_scale(tensor)}"


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name} {_dims(tensor.shape)}"


def _dims(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _scale(tensor: Tensor) -> str:
    return f"scale {tensor.scale:g}, zero point {tensor.zero_point}"


def _node(graph: Graph, node: Node) -> str:
    inputs = ", ".join(_tensor(graph.tensors[name]) for name in node.inputs)
    output = graph.tensors[node.output]
    line = f"{node.op.kind} {node.name}: {inputs} -> {_tensor(output)}, {_scale(output)}"
    details = [*_attributes(node.op), *_constants(node)]
    return f"{line}; {', '.join(details)}" if details else line


def _attributes(record: Any) -> Iterator[str]:
    """Fields that are not at their default; records within are opened."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if not field.repr:  # too long for a line
            continue
        if isinstance(value, Window):
            yield from _attributes(value)
        elif dataclasses.is_dataclass(value):
            yield from (f"{field.name}.{text}" for text in _attributes(value))
        elif value != field.default:
            text = _text(value)
            yield f"{field.name} {text}"


def _text(value: Any) -> str:
    """Tuples as shapes, a tuple of them with commas."""
    if not isinstance(value, tuple):
        return str(value)
    nested = any(isinstance(item, tuple) for item in value)
    return ", ".join(map(_text, value)) if nested else _dims(value)


def _constants(node: Node) -> Iterator[str]:
    for role, array in sorted(node.constants.items()):
        yield f"{role} {array.dtype.name} {_dims(array.shape)}"
