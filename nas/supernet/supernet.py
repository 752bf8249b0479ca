# SPDX-License-Identifier: Apache-2.0
"""All networks of a space in one module, with a distribution over every decision.

A decision with logits a has probabilities w = softmax(a), sampled by Gumbel-softmax in the search.
What the network computes under such probabilities is up to the space (see Space.supernet); at
probabilities that are certain of one network, it is exactly that network with the first channels of
the shared weights. What the distribution costs is computed in expected.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.network.float_network import ConvBlock, module_name
from tinytailor.nas.network.topology import ConvLayer
from tinytailor.nas.spaces.base import Architecture, Option, Space, architecture
from tinytailor.nas.supernet.placements import Placement, Slot

Probabilities = Mapping[str, Tensor]


class Supernet(nn.Module):
    """Shared convolutions for every slot, and the logits of every decision, all equal at first."""

    def __init__(self, space: Space, slots: Mapping[str, Slot], generator: torch.Generator) -> None:
        super().__init__()
        self.space, self.slots = space, slots
        self.alphas = nn.ParameterDict(
            {
                module_name(d.name): nn.Parameter(torch.zeros(len(d.options)))
                for d in space.decisions
            }
        )
        self.blocks = nn.ModuleDict(
            {
                module_name(name): ConvBlock(slot.most_inputs, slot.layer, generator)
                for name, slot in slots.items()
                if isinstance(slot.layer, ConvLayer)
            }
        )

    def forward(self, x: Tensor, probabilities: Probabilities) -> Tensor:
        """(N, C, H, W) to logits (N, classes)."""
        raise NotImplementedError

    def placements(self, probabilities: Probabilities) -> list[Placement]:
        """Every possible operator under ``probabilities``, for expected costs."""
        raise NotImplementedError

    def conv(self, name: str, x: Tensor) -> Tensor:
        """The shared convolution of a slot, with ReLU where its layer has one."""
        y: Tensor = self.blocks[module_name(name)](x)
        layer = self.slots[name].layer
        return functional.relu(y) if isinstance(layer, ConvLayer) and layer.relu else y

    def architecture_parameters(self) -> list[nn.Parameter]:
        return list(self.alphas.values())

    def weight_parameters(self) -> list[nn.Parameter]:
        return list(self.blocks.parameters())

    def probabilities(self) -> dict[str, Tensor]:
        """softmax of every decision's logits: dim 0 runs over its options."""
        return {
            d.name: functional.softmax(self.alphas[module_name(d.name)], dim=0)
            for d in self.space.decisions
        }

    def draw(self, temperature: float, generator: torch.Generator) -> dict[str, Tensor]:
        """A Gumbel-softmax sample of every decision."""
        drawn = {}
        for decision in self.space.decisions:
            logits = self.alphas[module_name(decision.name)]
            uniform = torch.rand(logits.shape, generator=generator).clamp(1e-9, 1 - 1e-7)
            noise = -torch.log(-torch.log(uniform))
            drawn[decision.name] = functional.softmax((logits + noise) / temperature, dim=0)
        return drawn

    def one_hot(self, arch: Architecture) -> dict[str, Tensor]:
        """The probabilities that are certain to take ``arch``."""
        choice = dict(arch.choices)
        return {
            d.name: functional.one_hot(
                torch.tensor(d.options.index(choice[d.name])), len(d.options)
            ).float()
            for d in self.space.decisions
        }

    def likeliest(self) -> Architecture:
        """The option of largest probability for every decision."""
        choice: dict[str, Option] = {
            d.name: d.options[int(self.alphas[module_name(d.name)].argmax())]
            for d in self.space.decisions
        }
        return architecture(self.space, choice)

    def entropy(self) -> Tensor:
        """Sum over decisions of -sum p log p, rank 0."""
        return torch.stack(
            [-(p * torch.log(p + 1e-12)).sum() for p in self.probabilities().values()]
        ).sum()

    def log_probability(self, arch: Architecture) -> float:
        choice = dict(arch.choices)
        with torch.no_grad():
            probabilities = self.probabilities()
            return sum(
                float(torch.log(probabilities[d.name][d.options.index(choice[d.name])] + 1e-12))
                for d in self.space.decisions
            )

    def sample(self, generator: torch.Generator) -> Architecture:
        """A network drawn from the probabilities."""
        with torch.no_grad():
            choice: dict[str, Option] = {
                d.name: d.options[int(torch.multinomial(p, 1, generator=generator))]
                for d, p in zip(self.space.decisions, self.probabilities().values(), strict=True)
            }
        return architecture(self.space, choice)


def mask(weights: Tensor, options: tuple[int, ...]) -> Tensor:
    """sum_i w_i mask_i as (1, C, 1, 1), mask_i keeping the first options[i] channels."""
    position = torch.arange(options[-1])
    masks = (position < torch.tensor(options)[:, None]).float()
    return (weights @ masks)[None, :, None, None]
