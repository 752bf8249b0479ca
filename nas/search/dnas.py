# SPDX-License-Identifier: Apache-2.0
"""Differentiable search: weights and decisions of the supernet learn in turn (first order).

    weights     minimise CE(train batch) under a Gumbel-softmax sample of the decisions
    decisions   minimise CE(valid batch) + strength * ramp * sum_k max(0, log(E[cost_k] / limit_k))

with k running over the limits of every device.

E[cost] is the exact expectation under the softmax probabilities (expected.py). The penalty exists
above the limits only and grows linearly over the first half, as in DUCCIO (arXiv
2310.07217); the temperature of the samples falls geometrically. Over the second half a growing term
lowers the entropy of the decisions, so that the likeliest network costs about what was expected. Of
the last quarter the epoch whose expected cost is within the budget and whose validation loss is
least is taken. Of its likeliest network and some drawn from its probabilities, each repaired
until its exact cost is within the budget, the one with the least validation loss under the shared
weights wins: it uses the budget where the likeliest network alone would leave some of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tinytailor.nas.network.topology import Topology
from tinytailor.nas.search.base import OnEpoch, Problem, Proposal, Suggest
from tinytailor.nas.search.repair import repair
from tinytailor.nas.spaces import Architecture
from tinytailor.nas.supernet.expected_cost import (
    ExpectedCost,
    expected_cost,
    penalty,
    price_slots,
)
from tinytailor.nas.supernet.odds import Probabilities
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.training.train import cross_entropy, endless_batches, one_cycle

WEIGHT_RATE = 1e-2
HOTTEST, COLDEST = 2.0, 0.3
CERTAINTY = 0.1  # weight of the entropy at the end
DRAWS = 16
WARMUP = 0.15  # share of the epochs in which only weights learn


@dataclass(frozen=True, slots=True)
class Losses:
    """One architecture step: cross entropy and penalty, both differentiable, rank 0."""

    cross_entropy: Tensor
    penalty: Tensor


@dataclass(frozen=True, slots=True)
class Candidate:
    """The decisions after an epoch: penalty 0 is within the budget in expectation."""

    penalty: float
    loss: float
    alphas: dict[str, Tensor]


def dnas(
    problem: Problem, trial: Suggest, generator: torch.Generator, on_epoch: OnEpoch
) -> Proposal:
    rate = trial.suggest_float("architecture_rate", 0.03, 0.3, log=True)
    strength = trial.suggest_float("penalty_strength", 1.0, 10.0, log=True)
    supernet = Supernet(problem.space, generator)
    history, best = train_supernet(problem, supernet, rate, strength, generator, on_epoch)
    supernet.alphas.load_state_dict(best.alphas)
    return Proposal(discretise(problem, supernet, generator), tuple(history))


def train_supernet(
    problem: Problem,
    supernet: Supernet,
    rate: float,
    strength: float,
    generator: torch.Generator,
    on_epoch: OnEpoch,
) -> tuple[list[dict[str, Any]], Candidate]:
    """All epochs; the history and the best candidate of the last quarter."""
    weights = torch.optim.AdamW(supernet.weight_parameters(), WEIGHT_RATE, weight_decay=1e-3)
    decisions = torch.optim.Adam(supernet.architecture_parameters(), rate, betas=(0.5, 0.999))
    train = endless_batches(len(problem.x_train), problem.batch, generator)
    valid = endless_batches(len(problem.x_valid), problem.batch, generator)
    steps = -(-len(problem.x_train) // problem.batch)
    pricer = Pricer(problem, supernet)
    history: list[dict[str, Any]] = []
    best: Candidate | None = None
    for epoch in range(problem.epochs):
        position = epoch / problem.epochs
        temperature = HOTTEST * (COLDEST / HOTTEST) ** position
        for group in weights.param_groups:
            group["lr"] = WEIGHT_RATE * one_cycle(position, 0.1)
        for _ in range(steps):
            weight_step(problem, supernet, weights, next(train), temperature, generator)
            if position >= WARMUP:
                losses = architecture_losses(
                    problem, supernet, pricer, next(valid), temperature, generator
                )
                ramp = min(1.0, (position - WARMUP) / (0.5 - WARMUP))
                decisions.zero_grad(set_to_none=True)
                certainty = CERTAINTY * max(0.0, 2 * position - 1)
                total = losses.cross_entropy + strength * ramp * losses.penalty
                (total + certainty * supernet.entropy()).backward()
                decisions.step()
        candidate, record = evaluate(problem, supernet, pricer)
        history.append({"epoch": epoch, "temperature": temperature, **record})
        if position >= 0.75 and (best is None or _better(candidate, best)):
            best = candidate
        on_epoch(epoch + 1, problem.epochs, record["valid_loss"])
    assert best is not None
    return history, best


class Pricer:
    """Expected costs of a supernet on each device; the tables are read once."""

    def __init__(self, problem: Problem, supernet: Supernet) -> None:
        slots, self.constraints = tuple(supernet.slots.values()), problem.constraints
        self.prices = [price_slots(slots, one.parts) for one in self.constraints]

    def costs(self, supernet: Supernet, probabilities: Probabilities) -> list[ExpectedCost]:
        """Of every device, in the order of the constraints."""
        placed = supernet.placements(probabilities)
        pairs = zip(self.prices, self.constraints, strict=True)
        return [expected_cost(placed, prices, one.parts) for prices, one in pairs]

    def penalty(self, costs: list[ExpectedCost]) -> Tensor:
        pairs = zip(costs, self.constraints, strict=True)
        return torch.stack([penalty(cost, one.budget) for cost, one in pairs]).sum()


def weight_step(
    problem: Problem,
    supernet: Supernet,
    optimizer: torch.optim.Optimizer,
    rows: Tensor,
    temperature: float,
    generator: torch.Generator,
) -> None:
    supernet.train()
    drawn = {name: p.detach() for name, p in supernet.draw(temperature, generator).items()}
    logits = supernet(problem.x_train[rows], drawn)
    loss = cross_entropy(logits, problem.y_train[rows], weights=problem.weights)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(supernet.weight_parameters(), 5.0)
    optimizer.step()


def architecture_losses(
    problem: Problem,
    supernet: Supernet,
    pricer: Pricer,
    rows: Tensor,
    temperature: float,
    generator: torch.Generator,
) -> Losses:
    """On a validation batch, the weights left alone (their gradients are not used)."""
    supernet.train()
    logits = supernet(problem.x_valid[rows], supernet.draw(temperature, generator))
    over = pricer.penalty(pricer.costs(supernet, supernet.probabilities()))
    return Losses(cross_entropy(logits, problem.y_valid[rows], weights=problem.weights), over)


def evaluate(
    problem: Problem, supernet: Supernet, pricer: Pricer
) -> tuple[Candidate, dict[str, Any]]:
    """The supernet under its present probabilities on the whole validation part."""
    supernet.eval()
    with torch.no_grad():
        probabilities = supernet.probabilities()
        logits = torch.cat([supernet(part, probabilities) for part in problem.x_valid.split(512)])
        loss = float(cross_entropy(logits, problem.y_valid, weights=problem.weights))
        accuracy = float((logits.argmax(1) == problem.y_valid).double().mean())
        costs = pricer.costs(supernet, probabilities)
        over = float(pricer.penalty(costs))
    alphas = {name: value.clone() for name, value in supernet.alphas.state_dict().items()}
    record = {
        "valid_loss": loss,
        "valid_accuracy": accuracy,
        "expected": [
            {
                "latency_ms": float(cost.latency_ms),
                "ram_bytes": float(cost.ram_bytes),
                "flash_bytes": float(cost.flash_bytes),
            }
            for cost in costs
        ],
    }
    return Candidate(over, loss, alphas), record


def _better(a: Candidate, b: Candidate) -> bool:
    """Within the budget first, then the lower validation loss; outside it, the lower penalty."""
    return (a.penalty, a.loss) < (b.penalty, b.loss)


def discretise(problem: Problem, supernet: Supernet, generator: torch.Generator) -> Architecture:
    """The best of the likeliest network and ``DRAWS`` others, all within the budget."""
    drawn = (supernet.sample(generator) for _ in range(DRAWS))
    within: dict[Topology, Architecture] = {}
    for start in (supernet.likeliest(), *drawn):
        network = _within_budget(problem, supernet, start)
        if network is not None:
            within.setdefault(problem.space.topology(network), network)
    if not within:
        return problem.feasible
    return min(within.values(), key=lambda network: shared_loss(problem, supernet, network))


def _within_budget(
    problem: Problem, supernet: Supernet, start: Architecture
) -> Architecture | None:
    return repair(problem.space, problem.constraints, start, supernet.log_probability)


def shared_loss(problem: Problem, supernet: Supernet, network: Architecture) -> float:
    """Validation loss of one network with the supernet's weights.

    The running statistics of batch norm belong to the mixture, so those of the batch are used.
    """
    kept = {name: value.clone() for name, value in supernet.named_buffers()}
    supernet.train()
    with torch.no_grad():
        certain = supernet.one_hot(network)
        logits = torch.cat([supernet(part, certain) for part in problem.x_valid.split(512)])
        for name, value in supernet.named_buffers():
            value.copy_(kept[name])
    return float(cross_entropy(logits, problem.y_valid, weights=problem.weights))
