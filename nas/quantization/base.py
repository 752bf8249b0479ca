# SPDX-License-Identifier: Apache-2.0
"""What a quantizer is, and the integers of a quantized network.

    activation   real = scale * (q - zero_point),    q in -128..127, one scale a tensor
    weight       real = weight_scale[o] * q,         one scale an output channel
    bias         real = (s_in * weight_scale[o]) * q, int32

``QuantizedNetwork`` holds these integers once; the graph that runs and the ONNX file are views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol, cast

import numpy as np
from torch import Tensor

from tinytailor.compiler import ir
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ops import Add, AveragePool2d, Conv2d, DepthwiseConv2d, Operator
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.nas.network.graphs import build_graph
from tinytailor.nas.network.topology import INPUT, AddLayer, ConvLayer, Layer, PoolLayer, Topology

LOW, HIGH = -128, 127
MOST_WINDOWS = 2**28  # bytes


@dataclass(frozen=True, slots=True)
class Affine:
    """Scale (a float32 value) and zero point of an activation tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedConv:
    """weight int8 (O, kh, kw, I), bias int32 (O,) without zero-point terms, weight_scale (O,).

    A depthwise convolution has I = 1.
    """

    weight: np.ndarray
    bias: np.ndarray
    weight_scale: np.ndarray


class Quantizer(Protocol):
    """How ranges and weights become integers. Torch in, torch out; gradients pass through."""

    @property
    def name(self) -> str: ...

    def activation(self, low: float, high: float) -> Affine:
        """The quantization of a tensor whose values lie in ``low..high`` (0 is always included)."""

    def weight_scale(self, weight: Tensor, bias: Tensor, source: Affine, target: Affine) -> Tensor:
        """Scales (O,) float32 of weight (O, I, kh, kw), for a layer ``source`` to ``target``."""

    def integers(self, value: Tensor, scale: Tensor) -> Tensor:
        """Integers, as a float tensor, that ``value`` (a weight) rounds to at ``scale``."""

    def fake_weight(self, weight: Tensor, scale: Tensor) -> Tensor:
        """``weight`` rounded to scale * integers, straight-through."""

    def fake_activation(self, value: Tensor, quantization: Affine) -> Tensor:
        """``value`` rounded to the tensor's grid and clamped, straight-through inside the range."""


def quantize(x: np.ndarray, quantization: Affine) -> np.ndarray:
    """float32 to int8, as ONNX QuantizeLinear: round half to even, add the zero point, saturate."""
    steps = np.rint(np.asarray(x, np.float32) / np.float32(quantization.scale))
    return np.clip(steps + quantization.zero_point, LOW, HIGH).astype(np.int8)


def dequantize(q: np.ndarray, quantization: Affine) -> np.ndarray:
    """int8 to float32."""
    shifted = q.astype(np.int32) - quantization.zero_point
    return (shifted.astype(np.float32) * np.float32(quantization.scale)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedNetwork:
    """A topology, the quantization of every tensor by name, and the integers of every convolution.

    A pool's output is quantized like its input: the mean of integers is the integer of the mean.
    """

    topology: Topology
    activations: Mapping[str, Affine]
    convs: Mapping[str, QuantizedConv]

    @property
    def input(self) -> Affine:
        return self.activations[INPUT]

    @property
    def output(self) -> Affine:
        return self.activations[self.topology.layers[-1].name]

    def graph(self, name: str = "network") -> ir.Graph:
        """The integer graph the compiler takes: exactly the device's arithmetic."""
        pairs = {key: (a.scale, a.zero_point) for key, a in self.activations.items()}
        return build_graph(self.topology, name, pairs, self._fill)

    def _fill(self, layer: Layer, op: Operator) -> tuple[Operator, Mapping[str, np.ndarray]]:
        if isinstance(layer, AddLayer):
            a, b, y = (self._tensor(name) for name in (layer.left, layer.right, layer.name))
            return Add.from_scales(a, b, y), {}
        if isinstance(layer, PoolLayer):
            pool = cast(AveragePool2d, op)
            zero_point = self.activations[layer.source].zero_point if pool.ties_even else 0
            return replace(pool, input_zero_point=zero_point), {}
        return self._fill_conv(layer, cast(Conv2d | DepthwiseConv2d, op))

    def _fill_conv(
        self, layer: ConvLayer, op: Conv2d | DepthwiseConv2d
    ) -> tuple[Operator, Mapping[str, np.ndarray]]:
        source, target = self.activations[layer.source], self.activations[layer.name]
        conv = self.convs[layer.name]
        scale = effective_scale(source.scale, conv.weight_scale, target.scale)
        multiplier, shift = multipliers(scale)
        low = target.zero_point if layer.relu else LOW
        requant = Requant(target.zero_point, shift, low, HIGH)
        total = conv.weight.astype(np.int64).sum(axis=(1, 2, 3))
        bias = (conv.bias - source.zero_point * total).astype(np.int32)
        weight = conv.weight
        if layer.depthwise:
            weight = np.ascontiguousarray(weight[..., 0].transpose(1, 2, 0))
        whole = replace(op, input_zero_point=source.zero_point, requant=requant)
        return whole, {"weight": weight, "bias": bias, "multiplier": multiplier}

    def _tensor(self, name: str) -> ir.Tensor:
        quantization = self.activations[name]
        return ir.Tensor(name, (), "int8", quantization.scale, quantization.zero_point)

    def quantize_input(self, x: np.ndarray) -> np.ndarray:
        """Standardised series (N, T, C) or images (N, H, W, C) float32 to the device's input int8.

        That is (N, T, C, 1) or (N, H, W, C).
        """
        return quantize(x if x.ndim == 4 else x[..., None], self.input)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Logits (N, classes) int8 of int8 inputs (N, H, W, C)."""
        graph = self.graph()
        rows = self._rows_at_once()
        parts = [execute(graph, x[i : i + rows])[0] for i in range(0, len(x), rows)]
        return np.concatenate(parts)

    def _rows_at_once(self) -> int:
        """So many that no layer's windows, int64 in the reference, take more than MOST_WINDOWS."""
        shapes = self.topology.shapes()
        windows = [
            prod(layer.kernel) * prod(shapes[layer.name][:3]) * shapes[layer.source][3]
            for layer in self.topology.convs
        ]
        return max(1, MOST_WINDOWS // (8 * max(windows)))
