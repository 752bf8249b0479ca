# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training of a network whose batch norm is folded.

In training mode values are rounded to the integer grids and gradients pass straight through. In
evaluation mode nothing is simulated: the network's integers are formed and the compiler's integer
graph is executed, so the accuracy seen here is that of the device, element for element.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.network.float_network import Folded, logits, module_name, same_conv, walk
from tinytailor.nas.network.topology import INPUT, AddLayer, ConvLayer, PoolLayer, Topology
from tinytailor.nas.quantization import (
    Affine,
    QuantizedConv,
    QuantizedNetwork,
    Quantizer,
    dequantize,
)

COVERAGE = 0.9995  # of the calibration values are inside a tensor's range
MOST_CALIBRATION_SAMPLES = 512


def calibrate(
    topology: Topology, folded: Mapping[str, Folded], x: Tensor, quantizer: Quantizer
) -> dict[str, Affine]:
    """The quantization of every tensor from the values it takes on ``x`` (N, C, H, W)."""

    def conv(layer: ConvLayer, value: Tensor) -> Tensor:
        part = folded[layer.name]
        y = same_conv(value, part.weight, part.bias, layer.stride)
        return functional.relu(y) if layer.relu else y

    with torch.no_grad():
        values = walk(topology, x[:MOST_CALIBRATION_SAMPLES], conv, lambda _, a, b: a + b)
    activations = {}
    for name, value in values.items():
        flat = value.numpy().ravel()
        low, high = np.quantile(flat, [1 - COVERAGE, COVERAGE])
        activations[name] = quantizer.activation(float(low), float(high))
    for layer in topology.layers:
        if isinstance(layer, PoolLayer):
            activations[layer.name] = activations[layer.source]
    return activations


class QatNetwork(nn.Module):
    """(N, C, H, W) float to logits (N, classes) float, through the integers of ``quantizer``."""

    def __init__(
        self,
        topology: Topology,
        folded: Mapping[str, Folded],
        activations: Mapping[str, Affine],
        quantizer: Quantizer,
    ) -> None:
        super().__init__()
        self.topology, self.activations, self.quantizer = topology, dict(activations), quantizer
        names = {layer.name: module_name(layer.name) for layer in topology.convs}
        self.weights = nn.ParameterDict(
            {key: nn.Parameter(folded[name].weight.clone()) for name, key in names.items()}
        )
        self.biases = nn.ParameterDict(
            {key: nn.Parameter(folded[name].bias.clone()) for name, key in names.items()}
        )

    def parts(self, layer: ConvLayer) -> tuple[Tensor, Tensor, Tensor]:
        """Weight (O, I, kh, kw), bias (O,) and weight scale (O,) of a convolution."""
        weight, bias = self.weights[module_name(layer.name)], self.biases[module_name(layer.name)]
        source, target = self.activations[layer.source], self.activations[layer.name]
        return weight, bias, self.quantizer.weight_scale(weight, bias, source, target)

    def forward(self, x: Tensor) -> Tensor:
        return self._simulate(x) if self.training else self._compute(x)

    def _simulate(self, x: Tensor) -> Tensor:
        fake = self.quantizer.fake_activation

        def conv(layer: ConvLayer, value: Tensor) -> Tensor:
            weight, bias, scale = self.parts(layer)
            step = scale * self.activations[layer.source].scale
            rounded = bias + (torch.round(bias / step) * step - bias).detach()
            y = same_conv(value, self.quantizer.fake_weight(weight, scale), rounded, layer.stride)
            y = functional.relu(y) if layer.relu else y
            return fake(y, self.activations[layer.name])

        def add(layer: AddLayer, a: Tensor, b: Tensor) -> Tensor:
            return fake(a + b, self.activations[layer.name])

        def pool(layer: PoolLayer, value: Tensor) -> Tensor:
            return fake(value.mean((2, 3), keepdim=True), self.activations[layer.name])

        values = walk(self.topology, fake(x, self.activations[INPUT]), conv, add, pool)
        return logits(self.topology, values)

    def _compute(self, x: Tensor) -> Tensor:
        network = self.quantized()
        integers = network.run(network.quantize_input(x.permute(0, 2, 3, 1).numpy()))
        return torch.from_numpy(dequantize(integers, network.output))

    def quantized(self) -> QuantizedNetwork:
        """The integers of the present weights."""
        convs = {}
        with torch.no_grad():
            for layer in self.topology.convs:
                weight, bias, scale = self.parts(layer)
                whole = self.quantizer.integers(weight, scale).permute(0, 2, 3, 1)
                step = scale * self.activations[layer.source].scale
                convs[layer.name] = QuantizedConv(
                    np.ascontiguousarray(whole.numpy().astype(np.int8)),
                    torch.round(bias.double() / step.double()).numpy().astype(np.int32),
                    scale.numpy().astype(np.float32),
                )
        return QuantizedNetwork(self.topology, self.activations, convs)
