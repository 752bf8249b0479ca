# SPDX-License-Identifier: Apache-2.0
"""Normalizations as the one operator that they are; frameworks write them in parts.

    Div(x, Expand(Clip(ReduceL2(x), 1e-12)))             ->  LpNormalization(x)
    Add(Mul(Div(Sub(x, mean), deviation), gain), bias)   ->  LayerNormalization(x, gain, bias)

Clip (or Max) and Expand may be missing: the bound only keeps zeros from being divided by zero. What
TFLite's converter makes of the second is a product of x with one factor for each element, plus what
the factor makes of the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.constants import known_shapes
from tinytailor.compiler.frontend.onnx.qoperator import attributes_of

SMALL = 1e-4  # a bound below it is there for zeros
LAYER_OPSET = 17  # the first with LayerNormalization
COMMUTATIVE = ("Add", "Mul")
Pattern = str | tuple[Any, ...]  # a name for a tensor, or an operator and the patterns it reads

DISTANCE = ("Sub", "x", "mean")
VARIANCE = ("ReduceMean", ("Pow", DISTANCE, "two"))
DEVIATION = ("Sqrt", ("Add", VARIANCE, "epsilon"))
RATIO = ("Div", DISTANCE, DEVIATION)
FACTOR = ("Mul", ("Reciprocal", DEVIATION), "gain")
LAYERS: tuple[tuple[Pattern, ...], ...] = (  # the result, then what a name in it must be
    (("Add", ("Mul", RATIO, "gain"), "bias"),),
    (("Add", ("Mul", "x", "f"), ("Add", ("Mul", ("Neg", "mean"), "f"), "bias")), FACTOR),
    (("Add", ("Mul", "x", "f"), ("Sub", "bias", ("Mul", "mean", "f"))), FACTOR),
)


def rewrite(model: Any, layers: bool = True) -> None:
    """In place; what nothing reads any more is gone. ``layers``: whether those of layers, too."""
    graph = model.graph
    kinds = {node.op_type for node in graph.node}
    if not {"ReduceL2", "ReduceMean"} & kinds:
        return
    parts = Parts(
        {name: node for node in graph.node for name in node.output},
        {tensor.name: tensor for tensor in graph.initializer},
        known_shapes(model) if "ReduceMean" in kinds and layers else {},
    )
    changed = False
    for node in graph.node:
        axis = None if node.op_type != "Div" else parts.axis_of_norm(*node.input)
        layer = parts.layer(node.output[0]) if node.op_type == "Add" and layers else None
        if axis is not None:
            become(node, "LpNormalization", node.input[:1], axis=axis, p=2)
        elif layer is not None:
            become(
                node, "LayerNormalization", layer.inputs, axis=-layer.axes, epsilon=layer.epsilon
            )
        changed = changed or axis is not None or layer is not None
    if changed:
        remove_unread(graph)


@dataclass(frozen=True, slots=True)
class Layer:
    """``axes``: how many of the last are normalized over."""

    inputs: tuple[str, str, str]
    axes: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Parts:
    """The node that makes each tensor, the constants, and the shapes that are known."""

    makers: Mapping[str, Any]
    initializers: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    def constant(self, name: str) -> np.ndarray | None:
        from onnx import numpy_helper

        node, tensor = self.makers.get(name), self.initializers.get(name)
        if node is not None and node.op_type == "Constant":
            tensor = attributes_of(node).get("value")
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def axes_of(self, node: Any) -> list[int] | None:
        """Of a reduction that keeps them as 1."""
        known = attributes_of(node)
        axes = self.constant(node.input[1]) if len(node.input) > 1 else known.get("axes")
        if axes is None or not known.get("keepdims", 1):
            return None
        return [int(axis) for axis in np.ravel(axes)]

    def axis_of_norm(self, x: str, length: str) -> int | None:
        """The axis if ``length`` is that of the vectors in ``x`` along one axis."""
        node = self.makers.get(length)
        if node is not None and node.op_type == "Expand":
            node = self.makers.get(node.input[0])
        if node is not None and node.op_type in ("Clip", "Max"):
            bounds = [self.constant(name) for name in node.input[1:] if name]
            bounds += [np.array(v) for n, v in attributes_of(node).items() if n in ("min", "max")]
            if len(bounds) != 1 or bounds[0] is None or not 0 <= bounds[0].max() <= SMALL:
                return None
            node = self.makers.get(node.input[0])
        if node is None or node.op_type != "ReduceL2" or node.input[0] != x:
            return None
        axes = self.axes_of(node)
        return axes[0] if axes is not None and len(axes) == 1 else None

    def layer(self, result: str) -> Layer | None:
        """The normalization that ends in the tensor ``result``."""
        for pattern, *inner in LAYERS:
            for found in self.matches(result, pattern, {}):
                rest = [found]
                for name in inner:
                    rest = [more for one in rest for more in self.matches(one["f"], name, one)]
                layers = (self.checked(one) for one in rest)
                layer = next((layer for layer in layers if layer is not None), None)
                if layer is not None:
                    return layer
        return None

    def matches(
        self, name: str, pattern: Pattern, found: Mapping[str, str]
    ) -> Iterator[dict[str, str]]:
        """What the names in ``pattern`` may be so that it makes tensor ``name``."""
        if isinstance(pattern, str):
            if found.get(pattern, name) == name:
                yield {**found, pattern: name}
            return
        kind, *arguments = pattern
        node = self.makers.get(name)
        if node is None or node.op_type != kind or len(node.input) < len(arguments):
            return
        names = list(node.input[: len(arguments)])
        for order in permutations(names) if kind in COMMUTATIVE else (names,):
            options: list[Mapping[str, str]] = [found]
            for item, argument in zip(order, arguments, strict=True):
                options = [more for one in options for more in self.matches(item, argument, one)]
            yield from (dict(option) for option in options)

    def checked(self, found: Mapping[str, str]) -> Layer | None:
        """What the names stand for, if their constants and axes are those of a layer."""
        mean = self.makers.get(found["mean"])
        values = {role: self.constant(found[role]) for role in ("gain", "bias", "two", "epsilon")}
        if mean is None or mean.op_type != "ReduceMean" or mean.input[0] != found["x"]:
            return None
        axes, shape = self.axes_of(mean), self.shapes.get(found["x"])
        gain, bias, two, epsilon = values.values()
        if axes is None or shape is None or gain is None or bias is None:
            return None
        if two is None or epsilon is None or (two != 2).any() or epsilon.size != 1:
            return None
        count = len(axes)
        last = shape[len(shape) - count :]
        trailing = sorted(axis % len(shape) for axis in axes) == [*range(len(shape))][-count:]
        whole = all(
            array.shape[-count:] == last and array.size == np.prod(last) for array in (gain, bias)
        )
        if not trailing or not whole:
            return None
        return Layer((found["x"], found["gain"], found["bias"]), count, float(epsilon.reshape(())))


def become(node: Any, kind: str, inputs: Any, **values: Any) -> None:
    from onnx import helper

    names = list(inputs)
    node.op_type = kind
    del node.input[:]
    node.input.extend(names)
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())


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
