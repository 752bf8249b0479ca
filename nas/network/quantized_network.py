# SPDX-License-Identifier: Apache-2.0
"""The integers of a trained network, held once: the graph that runs and the ONNX file are views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.compiler.real_values import Standardization, quantized
from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Filled, Integers
from tinytailor.nas.network.graphs import build_graph, tensors_of
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.quantization import Affine

MOST_PRODUCTS = 2**25  # of a layer, for all rows at once: the reference holds them as int64


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A topology, the quantization of every tensor and the integers of every step, by name.

    ``real``: how the numbers of the data become the input, where they are standardised first.
    """

    topology: Topology
    activations: Mapping[str, Affine]
    integers: Mapping[str, Integers]
    real: Standardization | None = None

    @property
    def input(self) -> Affine:
        return self.activations[INPUT]

    @property
    def output(self) -> Affine:
        return self.activations[self.topology.output]

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return tensors_of(self.topology, self.activations)

    def graph(self, name: str = "network") -> Graph:
        """The integer graph the compiler takes: exactly the device's arithmetic."""
        return build_graph(self.topology, name, self.tensors, self._filled)

    def _filled(self, step: PlacedStep) -> Filled:
        reads = tuple(self.tensors[source] for source in step.sources)
        integers = self.integers.get(step.name, {})
        return step.primitive.filled(step.operator, integers, reads, self.tensors[step.name])

    def quantize_input(self, x: np.ndarray) -> np.ndarray:
        """Series (N, T, C) or images (N, H, W, C) to the device's input (N, H, W, C), int8 or int16
        samples: numbers of the data if the network standardises them (``real``), else standardised
        ones."""
        real = self.real or Standardization.plain(self.input.scale)
        placed = x.reshape(len(x), *self.topology.input_shape[1:])
        dtype = self.tensors[INPUT].dtype
        return quantized(placed, real, self.input.zero_point, dtype)

    def reading(self, mean: np.ndarray, std: np.ndarray, axis: int) -> QuantizedNetwork:
        """The same network, which standardises by ``mean`` and ``std`` (C,) as it quantizes; the
        channels are ``axis`` of its input."""
        step = std.astype(np.float64) * self.input.scale
        return replace(self, real=Standardization.of(mean, step, axis))

    def sensing(self, lsb: np.ndarray) -> QuantizedNetwork:
        """The same network, whose int16 input has steps of ``lsb`` (C,)."""
        return replace(self, real=Standardization.of(0.0, lsb, 3))

    def run(self, x: np.ndarray) -> np.ndarray:
        """Logits (N, classes) int8 of inputs (N, H, W, C)."""
        graph = self.graph()
        products = max(graph.node_macs(node) for node in graph.nodes)
        rows = max(1, MOST_PRODUCTS // max(products, 1))
        parts = [execute(graph, x[i : i + rows])[0] for i in range(0, len(x), rows)]
        return np.concatenate(parts)
