# SPDX-License-Identifier: Apache-2.0
"""The float network of a topology: convolution, batch norm, ReLU; and folding the batch norm away.

    bn(conv(x)) = gamma * (W*x - mean) / sqrt(var + eps) + beta = (g W)*x + (beta - g mean),
    g = gamma / sqrt(var + eps)

torch tensors are NCHW: (N, channels, H, W), of a series (N, 1, T, C). A layer without batch norm,
as the last one, has a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.network.topology import (
    INPUT,
    AddLayer,
    ConvLayer,
    PoolLayer,
    Topology,
    same_padding,
)


@dataclass(frozen=True, slots=True)
class Folded:
    """A convolution without batch norm: weight (O, I, kh, kw) and bias (O,), float32."""

    weight: Tensor
    bias: Tensor


def as_input(x: np.ndarray) -> Tensor:
    """Series (N, T, C) to (N, 1, T, C), images (N, H, W, C) to (N, C, H, W)."""
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(x)).float()


def new_weight(shape: tuple[int, ...], generator: torch.Generator) -> nn.Parameter:
    """He initialisation, drawn from ``generator`` only."""
    weight = torch.empty(shape).normal_(generator=generator)
    return nn.Parameter(weight * sqrt(2.0 / prod(shape[1:])))


def same_conv(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
    """Convolution with the SAME padding of ``topology.same_padding``, zeros outside.

    Its groups follow from the channels of ``x`` and ``weight``: all in one, or each on its own.
    """
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    shape = (1, int(x.shape[2]), int(x.shape[3]), int(x.shape[1]))
    top, left, bottom, right = same_padding(shape, kernel, stride)
    padded = functional.pad(x, (left, right, top, bottom))
    groups = int(x.shape[1]) // int(weight.shape[1])
    return functional.conv2d(padded, weight, bias, stride, groups=groups)


class ConvBlock(nn.Module):
    """Convolution and batch norm, or convolution and bias where the layer has no norm; no ReLU."""

    def __init__(self, in_channels: int, layer: ConvLayer, generator: torch.Generator) -> None:
        super().__init__()
        self.stride = layer.stride
        shape = (layer.channels, 1 if layer.depthwise else in_channels, *layer.kernel)
        self.weight = new_weight(shape, generator)
        self.bias = None if layer.norm else nn.Parameter(torch.zeros(layer.channels))
        self.norm = nn.BatchNorm2d(layer.channels) if layer.norm else None

    def forward(self, x: Tensor) -> Tensor:
        y = same_conv(x, self.weight, self.bias, self.stride)
        return y if self.norm is None else self.norm(y)

    def folded(self) -> Folded:
        weight = self.weight.detach()
        if self.norm is None:
            assert self.bias is not None
            return Folded(weight.clone(), self.bias.detach().clone())
        mean, var = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert var is not None
        gain = self.norm.weight.detach() / torch.sqrt(var + self.norm.eps)
        return Folded(weight * gain[:, None, None, None], self.norm.bias.detach() - gain * mean)


class FloatNetwork(nn.Module):
    """The topology with float weights: (N, C, H, W) to logits (N, classes)."""

    def __init__(self, topology: Topology, generator: torch.Generator) -> None:
        super().__init__()
        self.topology = topology
        shapes = topology.shapes()
        self.blocks = nn.ModuleDict(
            {
                module_name(layer.name): ConvBlock(shapes[layer.source][3], layer, generator)
                for layer in topology.convs
            }
        )

    def block(self, name: str) -> ConvBlock:
        block = self.blocks[module_name(name)]
        assert isinstance(block, ConvBlock)
        return block

    def forward(self, x: Tensor) -> Tensor:
        def conv(layer: ConvLayer, value: Tensor) -> Tensor:
            y = self.block(layer.name)(value)
            return functional.relu(y) if layer.relu else y

        return logits(self.topology, walk(self.topology, x, conv, lambda _, a, b: a + b))

    def folded(self) -> dict[str, Folded]:
        return {layer.name: self.block(layer.name).folded() for layer in self.topology.convs}


def walk(
    topology: Topology,
    x: Tensor,
    conv: Callable[[ConvLayer, Tensor], Tensor],
    add: Callable[[AddLayer, Tensor, Tensor], Tensor],
    pool: Callable[[PoolLayer, Tensor], Tensor] = lambda _, value: value.mean((2, 3), keepdim=True),
) -> dict[str, Tensor]:
    """Every tensor of the network by name, each layer computed by the function of its kind."""
    values = {INPUT: x}
    for layer in topology.layers:
        if isinstance(layer, ConvLayer):
            values[layer.name] = conv(layer, values[layer.source])
        elif isinstance(layer, AddLayer):
            values[layer.name] = add(layer, values[layer.left], values[layer.right])
        else:
            values[layer.name] = pool(layer, values[layer.source])
    return values


def logits(topology: Topology, values: Mapping[str, Tensor]) -> Tensor:
    """(N, classes) of what ``walk`` returned."""
    return values[topology.layers[-1].name].flatten(1)


def module_name(layer: str) -> str:
    """torch forbids dots in module names."""
    return layer.replace(".", "_")
