# SPDX-License-Identifier: Apache-2.0
"""The float network of a topology, and how any form of a network is walked step by step.

torch tensors are NCHW: (N, channels, H, W), of a series (N, 1, T, C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Trained, Weights
from tinytailor.nas.layers.logits import flat
from tinytailor.nas.network.topology import INPUT, Topology

Compute = Callable[[PlacedStep, Sequence[Tensor]], Tensor]


def as_input(x: np.ndarray) -> Tensor:
    """Series (N, T, C) to (N, 1, T, C), images (N, H, W, C) to (N, C, H, W)."""
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(x)).float()


def walk(topology: Topology, x: Tensor, compute: Compute) -> dict[str, Tensor]:
    """Every tensor of the network by name, each written by its step."""
    values = {INPUT: x}
    for step in topology.steps:
        values[step.name] = compute(step, [values[source] for source in step.sources])
    return values


class FloatSteps(nn.ModuleDict):
    """The float weights of those of some steps that have any."""

    def __init__(self, steps: Iterable[PlacedStep], generator: torch.Generator) -> None:
        trained = {s.name: s.primitive.trained(s.shapes, generator) for s in steps}
        super().__init__({module_name(n): m for n, m in trained.items() if m is not None})

    def compute(self, step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
        name = module_name(step.name)
        if name not in self:
            return step.primitive.compute({}, *values)
        y: Tensor = self[name](*values)
        return y

    def trained(self, name: str) -> Trained:
        """The weights of the step that writes the tensor ``name``."""
        module = self[module_name(name)]
        assert isinstance(module, Trained)
        return module


class FloatNetwork(nn.Module):
    """The topology with float weights: (N, C, H, W) to logits (N, classes)."""

    def __init__(self, topology: Topology, generator: torch.Generator) -> None:
        super().__init__()
        self.topology = topology
        self.steps = FloatSteps(topology.steps, generator)

    def forward(self, x: Tensor) -> Tensor:
        return flat(walk(self.topology, x, self.steps.compute)[self.topology.output])

    def folded(self) -> dict[str, Weights]:
        """The weights of every step that has any, by the tensor it writes."""
        return {
            step.name: self.steps.trained(step.name).folded()
            for step in self.topology.steps
            if module_name(step.name) in self.steps
        }


def module_name(tensor: str) -> str:
    """torch forbids dots in module names."""
    return tensor.replace(".", "_")
