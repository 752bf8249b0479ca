# SPDX-License-Identifier: Apache-2.0
"""All networks of the time-series space in one, with a distribution over every decision.

A decision with logits a has probabilities w = softmax(a), sampled by Gumbel-softmax while searching.
Channels are searched by prefix masks on a full-width convolution, y = conv(x) * sum_i w_i mask_i, and
operators by weighting what they produce (MicroNAS, arXiv 2310.18384). At probabilities that are
certain of one network, the supernet computes exactly that network with the first channels of its
weights; what the distribution costs is computed in expected.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.network import ConvBlock, module_name
from tinytailor.nas.placements import Placement, branch_presence, make_slots, placements
from tinytailor.nas.spaces.base import Architecture, Option, architecture
from tinytailor.nas.topology import ConvLayer

if TYPE_CHECKING:
    from tinytailor.nas.spaces.timeseries import TimeSeriesSpace

Probabilities = Mapping[str, Tensor]


class TimeSeriesSupernet(nn.Module):
    """See the module's text; ``space`` is a TimeSeriesSpace."""

    def __init__(self, space: TimeSeriesSpace, generator: torch.Generator) -> None:
        super().__init__()
        self.space = space
        self.alphas = nn.ParameterDict(
            {module_name(d.name): nn.Parameter(torch.zeros(len(d.options))) for d in space.decisions}
        )
        self.slots = make_slots(space)
        self.blocks = nn.ModuleDict()
        for name, slot in self.slots.items():
            if isinstance(slot.layer, ConvLayer):
                self.blocks[module_name(name)] = ConvBlock(
                    slot.inputs[-1], slot.layer, generator, norm=slot.layer.relu
                )

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

    def placements(self, probabilities: Probabilities) -> list[Placement]:
        """Every possible operator under ``probabilities``, for expected costs."""
        return placements(self.space, self.slots, probabilities)

    def forward(self, x: Tensor, probabilities: Probabilities) -> Tensor:
        """(N, 1, T, C) to logits (N, classes)."""
        for stage in self.space.stages[:-1]:
            if stage.name.startswith("time"):
                x = self._time(stage.name, x, probabilities)
            else:
                x = self._fusion(stage.name, x, probabilities)
        return cast(Tensor, self.blocks["head"](x)).mean(dim=(2, 3))

    def _conv(self, name: str, x: Tensor) -> Tensor:
        return functional.relu(self.blocks[module_name(name)](x))

    def _time(self, name: str, x: Tensor, p: Probabilities) -> Tensor:
        kernels = p[f"{name}.kernel"]
        options = self.space.stage(name).decisions[0].options
        total = torch.stack(
            [w * self._conv(f"{name}.k{k}", x) for w, k in zip(kernels, options, strict=True)]
        ).sum(dim=0)
        return total * mask(p[f"{name}.channels"], self.space.time_channels)

    def _fusion(self, name: str, x: Tensor, p: Probabilities) -> Tensor:
        widths = self.space.fusion_channels
        narrow = self._conv(f"{name}.bottleneck", x) * mask(p[f"{name}.bottleneck"], widths)
        total = p[f"{name}.residual"][1] * self._conv(f"{name}.residual", x)
        for kernel, presence in branch_presence(self.space, name, p).items():
            total = total + presence * self._conv(f"{name}.branch{kernel}", narrow)
        total = total * mask(p[f"{name}.channels"], widths)
        keep = p.get(f"{name}.keep")
        return total if keep is None else keep[1] * total + keep[0] * x


def mask(weights: Tensor, options: tuple[int, ...]) -> Tensor:
    """sum_i w_i mask_i as (1, C, 1, 1), mask_i keeping the first options[i] channels."""
    position = torch.arange(options[-1])
    masks = (position < torch.tensor(options)[:, None]).float()
    return (weights @ masks)[None, :, None, None]
