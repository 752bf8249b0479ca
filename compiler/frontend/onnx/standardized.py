# SPDX-License-Identifier: Apache-2.0
"""Standardisation in front of an ONNX model, which becomes part of the quantization of its input.

    x -> Sub mean -> Div std -> ...      z = (x - offset[c]) / divisor[c], c along one axis

Sub, Add, Mul, Div by constants and BatchNormalization, any number of them, directly behind a float
input that nothing else reads, with positive divisors. In a quantized model QuantizeLinear follows:

    x -> Sub mean -> QuantizeLinear step[c] -> DequantizeLinear s        step[c] = divisor[c] s

is how this project writes it, and any ONNX runtime reads it; there the integers are equal to the
last bit. Where a division comes first, both divisions are one, which differs in exact halves only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.report import Declined

SCALINGS = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """``result`` = (``source`` - offset) / divisor, through ``nodes``; float64, (1,) or a number
    for each place along ``axis`` of the input."""

    source: str
    result: str
    offset: np.ndarray = field(default_factory=lambda: np.zeros(1))
    divisor: np.ndarray = field(default_factory=lambda: np.ones(1))
    axis: int | None = None
    nodes: tuple[Any, ...] = ()

    def then(self, node: Any, shift: np.ndarray, factor: np.ndarray, axis: int | None) -> Chain:
        """Behind it z / factor - shift, of channels along ``axis``."""
        if self.axis is not None and axis is not None and axis != self.axis:
            raise Declined("its channels are not those before")
        if not np.all(np.isfinite(factor) & (factor > 0)) or not np.all(np.isfinite(shift)):
            raise Declined("it turns numbers around")
        divisor = self.divisor * factor
        return replace(
            self,
            result=node.output[0],
            offset=self.offset + shift * divisor,
            divisor=divisor,
            axis=self.axis if axis is None else axis,
            nodes=(*self.nodes, node),
        )


class Front:
    """The inputs of a graph, its constants, and who reads what."""

    def __init__(self, graph: Any) -> None:
        from onnx import TensorProto, numpy_helper

        self.graph = graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and [a.name for a in node.attribute] == ["value"]:
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.outputs = {value.name for value in graph.output}
        self.readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.shapes = {
            value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
            for value in graph.input
            if value.name not in self.constants
            and value.type.tensor_type.elem_type == TensorProto.FLOAT
        }

    def chains(self) -> list[Chain]:
        """As long as they get, one for each float input."""
        return [self.followed(Chain(name, name)) for name in self.shapes]

    def followed(self, chain: Chain) -> Chain:
        shape = self.shapes[chain.source]
        while chain.result not in self.outputs:
            readers = self.readers.get(chain.result, [])
            if len(readers) != 1 or readers[0].domain not in ("", "ai.onnx"):
                break
            try:
                chain = self.behind(chain, readers[0], shape)
            except Declined:
                break
        return chain

    def behind(self, chain: Chain, node: Any, shape: Sequence[int]) -> Chain:
        zero, one = np.zeros(1), np.ones(1)
        if node.op_type == "BatchNormalization" and len(node.output) == 1 and len(shape) > 1:
            gain, bias, mean, variance = (self.channels(name) for name in node.input[1:5])
            if gain.size != shape[1]:
                raise Declined("its parameters are not those of channels")
            epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
            if np.any(gain == 0):
                raise Declined("a channel is constant")
            spread = np.sqrt(variance + epsilon) / gain
            return chain.then(node, mean / spread - bias, spread, 1)
        if node.op_type == "Conv" and len(shape) > 2:
            return self.behind_convolution(chain, node, shape)
        if node.op_type not in SCALINGS or len(node.input) != 2:
            raise Declined("it is no standardisation")
        first = node.input[0] == chain.result
        value, axis = self.along(node.input[1 if first else 0], shape)
        if node.op_type in ("Sub", "Div") and not first:
            raise Declined("it turns numbers around")
        if node.op_type in ("Mul", "Div") and np.any(value == 0):
            raise Declined("a channel is constant")
        if node.op_type == "Add":
            return chain.then(node, -value, one, axis)
        if node.op_type == "Sub":
            return chain.then(node, value, one, axis)
        return chain.then(node, zero, value if node.op_type == "Div" else 1 / value, axis)

    def behind_convolution(self, chain: Chain, node: Any, shape: Sequence[int]) -> Chain:
        """A convolution of one weight for each channel, which a batch norm may have become."""
        weight, bias = self.channels(node.input[1]), np.zeros(1)
        if len(node.input) > 2 and node.input[2]:
            bias = self.channels(node.input[2])
        moves = {a.name: list(a.ints) for a in node.attribute if a.name in ("pads", "strides")}
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        still = not any(moves.get("pads", ())) and set(moves.get("strides", (1,))) == {1}
        if not still or not groups == weight.size == shape[1]:
            raise Declined("it is no factor for each channel")
        if np.any(weight == 0):
            raise Declined("a channel is constant")
        return chain.then(node, -bias, 1 / weight, 1)

    def channels(self, name: str) -> np.ndarray:
        if name not in self.constants:
            raise Declined("its parameters are computed")
        return self.constants[name].astype(np.float64).ravel()

    def along(self, name: str, shape: Sequence[int]) -> tuple[np.ndarray, int | None]:
        """A constant as one number, or one for each place along an axis of the input."""
        if name not in self.constants or self.constants[name].dtype.kind != "f":
            raise Declined("its operand is computed")
        array = self.constants[name].astype(np.float64)
        if array.size == 1 and array.ndim <= len(shape):
            return array.reshape(1), None
        sizes = [1] * (len(shape) - array.ndim) + list(array.shape)
        axes = [axis for axis, size in enumerate(sizes) if size != 1]
        if len(sizes) != len(shape) or len(axes) != 1 or sizes[axes[0]] != shape[axes[0]]:
            raise Declined("its operand is no number for each channel")
        return array.ravel(), axes[0]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """The quantization of an input: float32 offset and step, of channels along ``axis``."""

    offset: np.ndarray
    step: np.ndarray
    axis: int | None


def absorb(model: Any) -> dict[str, Entry]:
    """Take what stands in front of QuantizeLinear out of a quantized model, in place; by input."""
    front, found = Front(model.graph), {}
    gone: set[str] = set()
    for chain in front.chains():
        entry = absorbed(front, chain)
        if entry is not None:
            found[chain.source] = entry
            gone.update(node.output[0] for node in chain.nodes)
    kept = [node for node in model.graph.node if not gone & set(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return found


def absorbed(front: Front, chain: Chain) -> Entry | None:
    """The entry of one input, whose QuantizeLinear becomes that of a plain input; else None."""
    readers = front.readers.get(chain.result, [])
    quantizers = [node for node in readers if node.op_type == "QuantizeLinear"]
    if len(readers) != 1 or len(quantizers) != 1 or chain.result in front.outputs:
        return None
    quantizer = quantizers[0]
    back = front.readers.get(quantizer.output[0], [])
    plain = {plain_scale(front, node) for node in back}
    affine = plain.pop() if len(plain) == 1 else None
    if affine is None:
        return None
    steps = front.constants.get(quantizer.input[1])
    zeros = front.constants.get(quantizer.input[2]) if len(quantizer.input) > 2 else None
    axis, shape = chain.axis, front.shapes[chain.source]
    if steps is None or zeros is None or not np.all(zeros == affine[1]):
        return None
    if steps.size > 1:
        given = next((a.i for a in quantizer.attribute if a.name == "axis"), 1)
        given += len(shape) if given < 0 else 0
        if axis not in (None, given) or not 0 <= given < len(shape) or steps.size != shape[given]:
            return None
        axis = given
    if not chain.nodes and np.all(steps == np.float32(affine[0])):
        return None  # nothing but a quantization
    step = (chain.divisor * steps.ravel().astype(np.float64)).astype(np.float32)
    quantizer.input[0] = chain.source
    quantizer.input[1], quantizer.input[2] = back[0].input[1], back[0].input[2]
    return Entry(chain.offset.astype(np.float32), step, axis)


def plain_scale(front: Front, node: Any) -> tuple[float, int] | None:
    """(scale, zero point) of a DequantizeLinear with one of each, else None."""
    if node.op_type != "DequantizeLinear" or len(node.input) < 3:
        return None
    values = [front.constants.get(name) for name in node.input[1:3]]
    if any(value is None or prod(value.shape) != 1 for value in values):
        return None
    scale, zero = (value.ravel()[0] for value in values if value is not None)
    return float(scale), int(zero)


def cut(model: Any) -> list[Chain]:
    """Take standardisations out of a float model, in place: its inputs are standardised then."""
    front = Front(model.graph)
    chains = [chain for chain in front.chains() if chain.nodes and chain.result in front.readers]
    ends = {chain.result: chain.source for chain in chains if chain.result not in front.outputs}
    gone = {node.output[0] for chain in chains if chain.result in ends for node in chain.nodes}
    kept = [node for node in model.graph.node if not gone & set(node.output)]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = ends.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return [chain for chain in chains if chain.result in ends]


def standardised(chain: Chain, x: np.ndarray) -> np.ndarray:
    """What follows a chain that was cut, of one input ``x``."""
    along = [1] * x.ndim
    if chain.axis is not None:
        along[chain.axis] = -1
    result = (x - chain.offset.reshape(along)) / chain.divisor.reshape(along)
    return np.asarray(result, np.float32)


def attach(model: Any, chains: Sequence[Chain]) -> None:
    """Put standardisations that were cut before the QuantizeLinear of their inputs, in place."""
    from onnx import helper, numpy_helper

    front, graph = Front(model.graph), model.graph
    for chain in chains:
        for quantizer in front.readers[chain.source]:
            assert quantizer.op_type == "QuantizeLinear"
            scale, zero = (front.constants[name] for name in quantizer.input[1:3])
            step = (chain.divisor * np.float64(scale)).astype(np.float32)
            channels = max(step.size, chain.offset.size)
            along = [1] * len(front.shapes[chain.source])
            if chain.axis is not None:
                along[chain.axis] = -1
            new = {
                "offset": np.broadcast_to(chain.offset, channels).astype(np.float32).reshape(along),
                "steps": np.broadcast_to(step, channels) if channels > 1 else step[0],
                "zero_points": np.broadcast_to(zero, channels) if channels > 1 else zero,
            }
            names = {role: f"{chain.source}_{role}" for role in new}
            graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(array), names[role])
                for role, array in new.items()
            )
            centred = f"{chain.source}_centred"
            node = helper.make_node("Sub", [chain.source, names["offset"]], [centred], centred)
            quantizer.input[:] = [centred, names["steps"], names["zero_points"]]
            if channels > 1:
                quantizer.attribute.append(helper.make_attribute("axis", chain.axis))
            graph.node.insert(0, node)
