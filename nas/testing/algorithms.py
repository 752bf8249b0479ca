# SPDX-License-Identifier: Apache-2.0
"""The conformance kit of search algorithms, on series of two frequencies and prices of formulas.

@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_my_algorithm(check):
    check(my_algorithm)
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch

from tinytailor.latency_tables import Budget
from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.cost import fit_parts
from tinytailor.nas.search import Algorithm, Problem, Proposal
from tinytailor.nas.search.feasible import feasible_network
from tinytailor.nas.spaces import build_space
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.training.samples import standard_samples

BUDGETS = (
    Budget(latency_ms=2.0, ram_bytes=6_000, flash_bytes=12_000),
    Budget(latency_ms=0.26, ram_bytes=3_000, flash_bytes=7_000),
    Budget(),
)


def every_proposal_is_within_the_budget(algorithm: Algorithm) -> None:
    for budget in BUDGETS:
        task = problem(budget)
        topology = task.space.topology(propose(algorithm, task, seed=1).architecture)
        assert exact_excess(task.constraints, topology) == 0


def a_proposal_is_within_the_budgets_of_several_devices(algorithm: Algorithm) -> None:
    """A fast one with little memory and a slow one with much."""
    task = problem(Budget(ram_bytes=3_400), epochs=4, slow=Budget(latency_ms=1.5))
    topology = task.space.topology(propose(algorithm, task, seed=1).architecture)
    assert exact_excess(task.constraints, topology) == 0


def it_depends_on_its_generator_alone(algorithm: Algorithm) -> None:
    task = problem(Budget(latency_ms=1.0), epochs=6)
    torch.manual_seed(1)
    first = propose(algorithm, task, seed=1)
    torch.manual_seed(2)
    assert propose(algorithm, task, seed=1) == first
    others = (propose(algorithm, task, seed=seed).architecture for seed in (2, 3, 4))
    assert any(network != first.architecture for network in others)


def its_history_is_json_and_its_progress_ends(algorithm: Algorithm) -> None:
    steps: list[tuple[int, int]] = []
    task = problem(BUDGETS[0], epochs=6)
    found = propose(algorithm, task, 1, lambda done, total, _: steps.append((done, total)))
    assert json.loads(json.dumps(found.history)) == list(found.history)
    assert steps
    assert all(0 < done <= total for done, total in steps)
    assert steps == sorted(steps)


Check = Callable[[Algorithm], None]
CHECKS: tuple[Check, ...] = (
    every_proposal_is_within_the_budget,
    a_proposal_is_within_the_budgets_of_several_devices,
    it_depends_on_its_generator_alone,
    its_history_is_json_and_its_progress_ends,
)


class Middle:
    """A trial that suggests the middle of every range."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return (low * high) ** 0.5 if log else (low + high) / 2


def problem(budget: Budget, epochs: int = 8, slow: Budget | None = None) -> Problem:
    """With a budget on a second device, which is three times as slow, if ``slow`` is one."""
    space = build_space("micronas", 48, 3, 2)
    constraints = [Constraint(fit_parts(space, FormulaCosts(), seed=0), budget)]
    if slow is not None:
        parts = fit_parts(space, FormulaCosts("slow", 70e3), seed=0)
        constraints.append(Constraint(parts, slow))
    generator = seeded(0)
    y = torch.arange(24) % 2
    phase = torch.rand((24, 1, 1, 1), generator=generator)
    time = torch.arange(48)[None, None, :, None] / 48
    x = torch.sin(6.28 * (time * (2 + 3 * y[:, None, None, None]) + phase)).expand(24, 1, 48, 3)
    x = x + 0.1 * torch.randn((24, 1, 48, 3), generator=generator)
    fits = feasible_network(space, constraints, seed=0)
    samples = standard_samples(x.permute(0, 2, 3, 1).contiguous(), y)
    train, valid = (samples.rows(rows) for rows in (np.arange(16), np.arange(16, 24)))
    return Problem(space, tuple(constraints), fits, train, valid, epochs=epochs, batch=8)


def propose(
    algorithm: Algorithm,
    task: Problem,
    seed: int,
    on_epoch: Callable[[int, int, float], None] = lambda *step: None,
) -> Proposal:
    return algorithm(task, Middle(), seeded(seed), on_epoch)
