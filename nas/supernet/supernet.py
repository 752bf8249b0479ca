# SPDX-License-Identifier: Apache-2.0
"""All networks of a space in one module, with a distribution over every decision.

A decision with logits a has probabilities w = softmax(a), sampled by Gumbel-softmax in the search.
What a cell computes under such probabilities is in mixture.py; at probabilities that are certain of
one network, it is exactly that network with the first channels of the shared weights. What the
distribution costs is computed in expected_cost.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.layers.logits import flat
from tinytailor.nas.network.float_network import FloatSteps, module_name
from tinytailor.nas.spaces.base import Space, architecture
from tinytailor.nas.spaces.decisions import Architecture, Option
from tinytailor.nas.spaces.scenarios import Span
from tinytailor.nas.supernet.mixture import CellMixture, Value
from tinytailor.nas.supernet.odds import Probabilities
from tinytailor.nas.supernet.placements import Placement, place
from tinytailor.nas.supernet.plan import Slot, plan_cell


class Supernet(nn.Module):
    """Shared weights for every slot, and the logits of every decision, all equal at first."""

    def __init__(self, space: Space, generator: torch.Generator) -> None:
        super().__init__()
        self.space = space
        self.plans = [plan_cell(stage) for stage in space.stages]
        self.slots: dict[str, Slot] = {n: s for plan in self.plans for n, s in plan.slots.items()}
        self.alphas = nn.ParameterDict(
            {
                module_name(d.name): nn.Parameter(torch.zeros(len(d.options)))
                for d in space.decisions
            }
        )
        placed = [step for slot in self.slots.values() for step in slot.widest().steps]
        self.steps = FloatSteps(placed, generator)
        self.cells = [CellMixture(plan, self.steps) for plan in self.plans]

    def forward(self, x: Tensor, probabilities: Probabilities) -> Tensor:
        """(N, C, H, W) to logits (N, classes)."""
        value = Value(x, Span("", self.space.input_shape[2:]), torch.ones(1))
        for cell in self.cells:
            value = cell(value, probabilities)
        return flat(value.cut)

    def placements(self, probabilities: Probabilities) -> list[Placement]:
        """Every possible layer under ``probabilities``, for expected costs."""
        placed: list[Placement] = []
        entering = torch.ones(1)
        for plan in self.plans:
            here, entering = place(plan, probabilities, entering)
            placed.extend(here)
        return placed

    def architecture_parameters(self) -> list[nn.Parameter]:
        return list(self.alphas.values())

    def weight_parameters(self) -> list[nn.Parameter]:
        return list(self.steps.parameters())

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
