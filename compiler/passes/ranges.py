# SPDX-License-Identifier: Apache-2.0
"""What values a channel can take at all: for every tensor, low and high by channel (last axis).

A convolution is bounded by interval arithmetic, and requantization rises with its accumulator, so
its ends bound the result. A channel with low = high is constant: its weights or its multiplier are
zero, or a ReLU cuts all of it off. Operators not known here are bounded by their clamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Shape
from tinytailor.compiler.passes.base import clamp_limits


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Inclusive, int64, one number per channel."""

    low: np.ndarray
    high: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """Which channels have one value only."""
        return self.low == self.high

    def widened(self, value: int) -> Range:
        return Range(np.minimum(self.low, value), np.maximum(self.high, value))


def ranges(graph: Graph) -> dict[str, Range]:
    known = {name: _whole(graph.tensors[name].shape, -128, 127) for name in graph.inputs}
    for node in graph.nodes:
        rule = _RULES.get(node.op.kind, _unknown)
        known[node.output] = rule(graph, node, [known[name] for name in node.inputs])
    return known


Rule = Callable[[Graph, Node, list[Range]], Range]


def _whole(shape: Shape, low: int, high: int) -> Range:
    return Range(np.full(shape[-1], low), np.full(shape[-1], high))


def _unknown(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    return _whole(graph.tensors[node.output].shape, *(clamp_limits(node.op) or (-128, 127)))


def _requantized(node: Node, low: np.ndarray, high: np.ndarray) -> Range:
    op: Any = node.op
    ends = np.stack([op.requant.apply(acc, node.constants["multiplier"]) for acc in (low, high)])
    return Range(ends.min(axis=0).astype(np.int64), ends.max(axis=0).astype(np.int64))


def packed(node: Node) -> bool:
    """Whether the weights lie several to a byte."""
    return getattr(node.op, "weight_bits", 8) != 8


def _taps(node: Node, x: Range) -> Range:
    """The input as the window reads it, its border included."""
    op: Any = node.op
    return x.widened(op.input_zero_point) if any(getattr(op, "padding", ())) else x


def _dense(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    """Conv2d and Dense: weight (out, ..., in)."""
    if len(inputs) > 1 or packed(node):  # with a fused addition, or weights of few bits
        return _unknown(graph, node, inputs)
    x, weight = _taps(node, inputs[0]), node.constants["weight"].astype(np.int64)
    positive, negative = (
        part.reshape(len(weight), -1, weight.shape[-1]).sum(axis=1)
        for part in (np.maximum(weight, 0), np.minimum(weight, 0))
    )
    bias = node.constants["bias"].astype(np.int64)
    low = bias + positive @ x.low + negative @ x.high
    high = bias + positive @ x.high + negative @ x.low
    return _requantized(node, low, high)


def _depthwise(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    if packed(node):
        return _unknown(graph, node, inputs)
    x, weight = _taps(node, inputs[0]), node.constants["weight"].astype(np.int64)
    bias = node.constants["bias"].astype(np.int64)
    ends = weight * x.low, weight * x.high
    low, high = np.minimum(*ends).sum(axis=(0, 1)), np.maximum(*ends).sum(axis=(0, 1))
    return _requantized(node, bias + low, bias + high)


def _lookup(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    (x,), table = inputs, node.constants["table"].astype(np.int64)
    parts = [table[a + 128 : b + 129] for a, b in zip(x.low, x.high, strict=True)]
    return Range(np.array([p.min() for p in parts]), np.array([p.max() for p in parts]))


def _elementwise(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    """Rising or falling in each input: its extremes lie at ends of the inputs."""
    channels = graph.tensors[node.output].shape[-1]
    if any(len(x.low) != channels for x in inputs):
        return _unknown(graph, node, inputs)
    corners: list[tuple[np.ndarray, ...]] = [()]
    for x in inputs:
        corners = [(*corner, end) for corner in corners for end in (x.low, x.high)]
    values = np.stack(
        [
            node.op.reference(tuple(end.astype(np.int8) for end in c), node.constants)
            for c in corners
        ]
    ).astype(np.int64)
    return Range(values.min(axis=0), values.max(axis=0))


def _max_pool(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    op: Any = node.op
    reach = max(op.padding) >= min(op.kernel)  # a window may lie in the border alone
    x = inputs[0].widened(-128) if reach else inputs[0]
    return Range(np.clip(x.low, op.low, op.high), np.clip(x.high, op.low, op.high))


def _average_pool(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    op: Any = node.op
    if op.requant is not None:
        return _unknown(graph, node, inputs)
    (x,) = inputs
    return Range(np.clip(x.low, op.low, op.high), np.clip(x.high, op.low, op.high))


def _concat(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    op: Any = node.op
    if op.axis == len(graph.tensors[node.output].shape) - 1:
        low, high = ([getattr(x, end) for x in inputs] for end in ("low", "high"))
        return Range(np.concatenate(low), np.concatenate(high))
    low = np.min([x.low for x in inputs], axis=0)
    return Range(low, np.max([x.high for x in inputs], axis=0))


def _pad(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    op: Any = node.op
    (x,), sides = inputs, (op.before[2], op.after[2])
    low, high = (np.pad(end, sides, constant_values=op.value) for end in (x.low, x.high))
    spatial = any((*op.before[:2], *op.after[:2]))
    return Range(low, high).widened(op.value) if spatial else Range(low, high)


def _reshape(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    shape, channels = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape[-1]
    spread = [
        np.broadcast_to(end, shape).reshape(-1, channels) for end in (inputs[0].low, inputs[0].high)
    ]
    return Range(spread[0].min(axis=0), spread[1].max(axis=0))


_RULES: dict[str, Rule] = {
    "add": _elementwise,
    "add_constant": _elementwise,
    "average_pool2d": _average_pool,
    "concat": _concat,
    "conv2d": _dense,
    "dense": _dense,
    "depthwise_conv2d": _depthwise,
    "lookup": _lookup,
    "max_pool2d": _max_pool,
    "mul": _elementwise,
    "pad": _pad,
    "reshape": _reshape,
}
