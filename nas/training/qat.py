# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training of a network whose batch norm is folded.

In training mode values are rounded to the integer grids and gradients pass straight through. In
evaluation mode nothing is simulated: the network's integers are formed and the compiler's integer
graph is executed, so the accuracy seen here is that of the device, element for element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tinytailor.compiler import ir
from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Weights
from tinytailor.nas.layers.logits import flat
from tinytailor.nas.network.float_network import module_name, walk
from tinytailor.nas.network.graphs import input_type, tensors_of
from tinytailor.nas.network.quantized_network import QuantizedNetwork
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.quantization import Affine, Quantizer, dequantize

PLAIN = Affine(1.0, 0)  # of samples, which are integers already
COVERAGE = 0.9995  # of the calibration values are inside a tensor's range
MOST_CALIBRATION_SAMPLES = 512


def calibrate(
    topology: Topology, folded: Mapping[str, Weights], x: Tensor, quantizer: Quantizer
) -> dict[str, Affine]:
    """The quantization of every tensor from the values it takes on ``x`` (N, C, H, W)."""

    def compute(step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
        return step.primitive.compute(folded.get(step.name, {}), *values)

    with torch.no_grad():
        values = walk(topology, x[:MOST_CALIBRATION_SAMPLES], compute)
    sampled = input_type(topology) != "int8"
    activations = {INPUT: PLAIN if sampled else quantizer.activation(*_range(values[INPUT]))}
    for step in topology.steps:
        reads = tuple(activations[source] for source in step.sources)
        seen = _range(values[step.name])
        activations[step.name] = step.primitive.quantization(quantizer, *seen, reads)
    return activations


def _range(value: Tensor) -> tuple[float, float]:
    low, high = np.quantile(value.numpy().ravel(), [1 - COVERAGE, COVERAGE])
    return float(low), float(high)


class QatNetwork(nn.Module):
    """(N, C, H, W) float to logits (N, classes) float, through the integers of ``quantizer``."""

    def __init__(
        self,
        topology: Topology,
        folded: Mapping[str, Weights],
        activations: Mapping[str, Affine],
        quantizer: Quantizer,
    ) -> None:
        super().__init__()
        self.topology, self.activations, self.quantizer = topology, dict(activations), quantizer
        learns = {step.name: step.primitive.learns for step in topology.steps}
        self.weights = nn.ModuleDict(
            {
                module_name(name): nn.ParameterDict(
                    {
                        role: nn.Parameter(value.clone(), requires_grad=learns[name])
                        for role, value in weights.items()
                    }
                )
                for name, weights in folded.items()
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        return self._simulate(x) if self.training else self._compute(x)

    def _simulate(self, x: Tensor) -> Tensor:
        fake, tensors = self.quantizer.fake_activation, self._tensors()

        def compute(step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
            reads, writes = tuple(tensors[name] for name in step.sources), tensors[step.name]
            weights = step.primitive.fake(self._of(step), self.quantizer, reads, writes)
            return fake(step.primitive.compute(weights, *values), writes)

        sampled = tensors[INPUT].dtype != "int8"
        values = walk(self.topology, x if sampled else fake(x, tensors[INPUT]), compute)
        return flat(values[self.topology.output])

    def _compute(self, x: Tensor) -> Tensor:
        network = self.quantized()
        integers = network.run(network.quantize_input(x.permute(0, 2, 3, 1).numpy()))
        return torch.from_numpy(dequantize(integers, network.output))

    def quantized(self) -> QuantizedNetwork:
        """The integers of the present weights."""
        tensors, integers = self._tensors(), {}
        with torch.no_grad():
            for step in self.topology.steps:
                reads, writes = tuple(tensors[name] for name in step.sources), tensors[step.name]
                integers[step.name] = step.primitive.integers(
                    self._of(step), self.quantizer, reads, writes
                )
        return QuantizedNetwork(self.topology, self.activations, integers)

    def _tensors(self) -> dict[str, ir.Tensor]:
        return tensors_of(self.topology, self.activations)

    def _of(self, step: PlacedStep) -> Weights:
        """The trained weights of a step, by role."""
        name = module_name(step.name)
        if name not in self.weights:
            return {}
        parameters = self.weights[name]
        assert isinstance(parameters, nn.ParameterDict)
        return dict(parameters)
