# SPDX-License-Identifier: Apache-2.0
"""All networks of a space in one set of weights, one of them at a time.

A network takes the first channels and the middle taps of what the widest has (slimmable networks,
Yu et al., arXiv 1812.08928; once-for-all, Cai et al., arXiv 1908.09791). So alternatives of a cell
that differ in the size of a kernel alone share weights, all others have their own.

Statistics of batch norm belong to one network and not to the weights: in training they are those of
the batch, and a network that is taken out has them estimated anew (`network`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from tinytailor.nas.layers import PlacedStep
from tinytailor.nas.layers.base import Trained
from tinytailor.nas.layers.logits import flat
from tinytailor.nas.network.float_network import (
    Dropout,
    FloatNetwork,
    FloatSteps,
    heads,
    module_name,
    walk,
)
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.spaces.base import Space
from tinytailor.nas.spaces.cells import Cell, Part, resolved, slot_names
from tinytailor.nas.spaces.decisions import Architecture
from tinytailor.nas.supernet.plan import Slot, plan_cell


class SharedNetwork(nn.Module):
    """The shared weights; (N, C, H, W) and an architecture to logits (N, classes)."""

    def __init__(self, space: Space, generator: torch.Generator) -> None:
        super().__init__()
        self.space = space
        self.holder: dict[str, str] = {}  # the slot whose weights a slot takes, by cell and slot
        steps: list[PlacedStep] = []
        for stage in space.stages:
            slots = plan_cell(stage).slots
            for family in families(stage.cell, slots):
                widest = max(family, key=lambda slot: slot.kind.taps)
                self.holder |= {slot.name: widest.name for slot in family}
                steps.extend(widest.widest().steps)
        self.steps = FloatSteps(steps, generator)
        self.dropout: Dropout | None = None

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        """With the statistics of this batch."""
        topology, names = self.placed(arch)
        last = heads(topology) if self.dropout is not None else frozenset()

        def compute(step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
            if step.name in last and self.dropout is not None:
                values = [self.dropout(value) for value in values]
            module = self.held(names[step.name])
            if module is None:
                return step.primitive.compute({}, *values)
            return module.nested(step, values)

        return flat(walk(topology, x, compute)[topology.output])

    def held(self, name: str) -> Trained | None:
        """The weights under this name, of a step that has any."""
        return self.steps.trained(name) if module_name(name) in self.steps else None

    def placed(self, arch: Architecture) -> tuple[Topology, dict[str, str]]:
        """The network, and for each of its steps the step of the widest whose weights it takes."""
        choice, topology = dict(arch.choices), self.space.topology(arch)
        found: dict[str, str] = {}
        for cell in self.space.cells:
            if cell.keep is not None and not choice[cell.keep.name]:
                continue
            uses, _ = resolved(cell, lambda when: choice[when.decision] in when.options)
            found |= {use.name: self.holder[use.slot] for use in uses}
        names = {}
        for step in topology.steps:
            layer = step.name.split("/")[0]
            names[step.name] = found[layer] + step.name.removeprefix(layer)
        return topology, names

    def network(self, arch: Architecture, x: Tensor) -> FloatNetwork:
        """That network alone, with copies of its weights and statistics estimated on ``x``."""
        topology, names = self.placed(arch)
        network = FloatNetwork(topology, self._unused)
        with torch.no_grad():
            for step in topology.steps:
                module = self.held(names[step.name])
                if module is not None:
                    network.steps.trained(step.name).load_state_dict(module.part(step))
        estimate(network, x)
        return network

    @cached_property
    def _unused(self) -> torch.Generator:
        """Draws initial weights that are overwritten."""
        return torch.Generator().manual_seed(0)


def families(cell: Cell, slots: dict[str, Slot]) -> Iterator[tuple[Slot, ...]]:
    """Slots that share weights: in one place of a cell, of one family of kinds."""
    found: dict[Hashable, list[Slot]] = {}
    items = dict(zip(slot_names(cell), cell.items, strict=True))
    for name, slot in slots.items():
        item = items.get(name)
        place: Hashable = name
        if isinstance(item, Part):
            place = (item.tensor, item.reads)
        found.setdefault((place, slot.kind.family, slot.reads, slot.writes), []).append(slot)
    return (tuple(family) for family in found.values())


def estimate(network: FloatNetwork, x: Tensor) -> None:
    """Statistics of batch norm from one pass over ``x`` (N, C, H, W)."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(x)
    for norm in norms:
        norm.momentum = 0.1
    network.eval()
