# SPDX-License-Identifier: Apache-2.0
"""The float network of a topology, and how any form of a network is walked step by step.

torch tensors are NCHW: (N, channels, H, W), of a series (N, 1, T, C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Trained, Weights
from tinytailor.nas.layers.logits import flat
from tinytailor.nas.network.topology import INPUT, Topology

Compute = Callable[[PlacedStep, Sequence[Tensor]], Tensor]


def as_input(x: np.ndarray) -> Tensor:
    """(N, H, W, C) as on the device to (N, C, H, W); of series (N, T, S), C is 1."""
    x = x[..., None] if x.ndim == 3 else x
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).float()


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


@dataclass(frozen=True, slots=True, eq=False)
class Dropout:
    """Values are 0 with probability ``odds``, else divided by the rest (Srivastava et al. 2014);
    whole channels of a map (Tompson et al., arXiv 1411.4280)."""

    odds: float
    generator: torch.Generator

    def __call__(self, x: Tensor) -> Tensor:
        if self.odds == 0:
            return x
        kept = torch.rand((*x.shape[:2], 1, 1), generator=self.generator) >= self.odds
        return x * kept / (1 - self.odds)


class FloatNetwork(nn.Module):
    """The topology with float weights: (N, C, H, W) to logits (N, classes).

    In training, ``dropout`` acts on what the layers read that make logits.
    """

    def __init__(self, topology: Topology, generator: torch.Generator) -> None:
        super().__init__()
        self.topology = topology
        self.steps = FloatSteps(topology.steps, generator)
        self.dropout: Dropout | None = None
        self.heads = heads(topology)

    def forward(self, x: Tensor) -> Tensor:
        return flat(walk(self.topology, x, self._compute)[self.topology.output])

    def _compute(self, step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
        if self.training and self.dropout is not None and step.name in self.heads:
            values = [self.dropout(value) for value in values]
        return self.steps.compute(step, values)

    def folded(self) -> dict[str, Weights]:
        """The weights of every step that has any, by the tensor it writes."""
        return {
            step.name: self.steps.trained(step.name).folded()
            for step in self.topology.steps
            if module_name(step.name) in self.steps
        }


def heads(topology: Topology) -> frozenset[str]:
    """The last steps that have weights on the ways to the output."""
    found, seek = set(), {topology.output}
    for step in reversed(topology.steps):
        if step.name in seek:
            if step.primitive.mixes:
                found.add(step.name)
            else:
                seek.update(step.sources)
    return frozenset(found)


def module_name(tensor: str) -> str:
    """torch forbids dots in module names."""
    return tensor.replace(".", "_")
