# SPDX-License-Identifier: Apache-2.0
"""Searching within a budget: what is impossible is known before training; repair; training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tinytailor.latency_tables import Budget
from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.cost import fit_parts
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.search.dnas import dnas
from tinytailor.nas.search.feasible import described, feasible_network
from tinytailor.nas.search.repair import repair
from tinytailor.nas.search.study import FinishedTrial, best_trial
from tinytailor.nas.spaces import Architecture, Space, build_space
from tinytailor.nas.testing.algorithms import problem, propose
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.nas.testing.recipes import recipe_of
from tinytailor.nas.training.train import fit, score
from tinytailor.targets.errors import BudgetError

pytestmark = [pytest.mark.torch]


def test_the_differentiable_search_spends_a_larger_budget_on_a_larger_network() -> None:
    tight, wide = (problem(Budget(latency_ms=limit), epochs=16) for limit in (0.4, 1.6))
    costs = [
        task.constraints[0]
        .network(task.space.topology(propose(dnas, task, seed=0).architecture))
        .latency_ms
        for task in (tight, wide)
    ]
    assert costs[0] <= 0.4 < costs[1] <= 1.6


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        (
            Budget(latency_ms=0.01),
            r"latency 0\.010 ms cannot be met on formula: the smallest achievable .* ms",
        ),
        (Budget(ram_bytes=100), r"ram 0\.10 KiB \(100 bytes\) cannot be met on formula: .*KiB"),
        (
            Budget(latency_ms=0.01, energy_uj=0.4, active_mw=40),
            r"latency 0\.010 ms cannot .*; energy 0\.4 uJ \(0\.010 ms at 40 mW\) cannot be met on "
            r"formula: the smallest achievable .* uJ \(",
        ),
        (Budget(flash_bytes=100), r"flash 0\.10 KiB \(100 bytes\) cannot be met on formula: .*KiB"),
    ],
    ids=str,
)
def test_an_impossible_budget_names_the_smallest_achievable_value(
    budget: Budget, sentence: str
) -> None:
    with pytest.raises(BudgetError, match=f"{sentence}.*; nothing was trained"):
        problem(budget)


def test_the_smallest_achievable_value_is_achieved() -> None:
    space = build_space("micronas", 48, 3, 2)
    with pytest.raises(BudgetError) as caught:
        feasible_network(space, limited(space, Budget(flash_bytes=100)), seed=0)
    least = int(str(caught.value).rsplit("(", 1)[1].split()[0])
    exact = limited(space, Budget(flash_bytes=least))
    network = feasible_network(space, exact, seed=0)
    assert exact[0].network(space.topology(network)).flash_bytes == least
    with pytest.raises(BudgetError):
        feasible_network(space, limited(space, Budget(flash_bytes=least - 1)), seed=0)


def limited(space: Space, *budgets: Budget) -> tuple[Constraint, ...]:
    """A budget each on devices of which each is half as fast as the one before."""
    return tuple(
        Constraint(fit_parts(space, FormulaCosts(f"device{i}", 200e3 / 2**i), seed=0), budget)
        for i, budget in enumerate(budgets)
    )


def test_a_budget_that_one_of_several_devices_cannot_meet_names_that_device() -> None:
    space = build_space("micronas", 48, 3, 2)
    sentence = (
        r"^latency 0\.010 ms cannot be met on device1: the smallest achievable .* ms; nothing"
    )
    with pytest.raises(BudgetError, match=sentence):
        feasible_network(space, limited(space, Budget(), Budget(latency_ms=0.01)), seed=0)


def test_a_network_for_several_devices_keeps_the_budget_of_each() -> None:
    """Little memory on the fast device, little time on the slow one: neither implies the other."""
    space = build_space("micronas", 48, 3, 2)
    both = limited(space, Budget(ram_bytes=3_000), Budget(latency_ms=1.0))
    rng = np.random.default_rng(0)
    starts = [space.sample(rng) for _ in range(5)]
    for constraints, enough in ((both, True), (both[:1], False), (both[1:], False)):
        found = [repair(space, constraints, start) for start in starts]
        over = [exact_excess(both, space.topology(network)) for network in found if network]
        assert len(over) == len(starts)
        assert all(excess == 0 for excess in over) == enough


def test_an_energy_is_met_as_the_time_in_which_it_is_spent() -> None:
    space = build_space("micronas", 48, 3, 2)
    budget = Budget(latency_ms=2.0, energy_uj=12, active_mw=40)  # 0.3 ms
    constraints = limited(space, budget)
    network = feasible_network(space, constraints, seed=0)
    found = constraints[0].network(space.topology(network))
    assert found.latency_ms <= 0.3
    shown = described(found, budget)
    assert f"energy {40 * found.latency_ms:.1f} uJ ({found.latency_ms:.3f} ms at 40 mW)" in shown


def test_repair_reaches_the_budget_by_exact_costs_or_says_that_it_cannot() -> None:
    space = build_space("micronas", 48, 3, 2)
    rng = np.random.default_rng(0)
    tight = limited(space, Budget(latency_ms=0.5, ram_bytes=4_000, flash_bytes=9_000))
    for _ in range(10):
        network = repair(space, tight, space.sample(rng))
        assert network is not None
        assert exact_excess(tight, space.topology(network)) == 0
    assert repair(space, limited(space, Budget(latency_ms=0.001)), space.smallest()) is None


def test_repair_gives_up_what_is_least_likely() -> None:
    space = build_space("micronas", 48, 3, 2)
    start = space.sample(np.random.default_rng(5))
    cost = FormulaCosts().network(space.topology(start))
    wanted = dict(start.choices)["fusion0.channels"]

    def certain_of_channels(network: Architecture) -> float:
        return 0.0 if dict(network.choices)["fusion0.channels"] == wanted else -50.0

    tight = limited(space, Budget(latency_ms=0.9 * cost.latency_ms))
    fixed = repair(space, tight, start, certain_of_channels)
    assert fixed is not None
    assert dict(fixed.choices)["fusion0.channels"] == wanted


def test_training_resumed_from_a_checkpoint_ends_with_the_same_weights(tmp_path: Path) -> None:
    task = problem(Budget(), epochs=6)
    recipe = recipe_of(epochs=6)
    topology = task.space.topology(task.feasible)

    def train(checkpoint: Path | None, stop_after: int | None) -> FloatNetwork:
        generator = torch.Generator().manual_seed(3)
        network = FloatNetwork(topology, generator)

        def epoch(done: int, total: int, loss: float) -> None:
            if done == stop_after:
                raise KeyboardInterrupt

        fit(
            network,
            task.train,
            recipe,
            generator,
            checkpoint=checkpoint,
            on_epoch=epoch,
        )
        return network

    whole = train(None, None).state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "c.pt", 3)
    resumed = train(tmp_path / "c.pt", None).state_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_the_metric_decides_between_trials_then_the_loss_then_the_order() -> None:
    network = build_space("micronas", 48, 3, 2).smallest()

    def trial(index: int, accuracy: float, balanced: float, loss: float) -> FinishedTrial:
        scores = {"accuracy": accuracy, "balanced_accuracy": balanced}
        return FinishedTrial(index, network, scores, loss, {})

    trials = (
        trial(0, 0.9, 0.5, 0.3),
        trial(1, 0.8, 0.7, 0.6),
        trial(2, 0.8, 0.7, 0.4),
        trial(3, 0.8, 0.7, 0.4),
    )
    assert best_trial(trials, "accuracy").index == 0
    assert best_trial(trials, "balanced-accuracy").index == 2


def test_a_short_training_learns_two_frequencies() -> None:
    task = problem(Budget())
    generator = torch.Generator().manual_seed(0)
    network = FloatNetwork(task.space.topology(task.feasible), generator)
    losses = fit(network, task.train, recipe_of(epochs=30), generator)
    assert losses[-1] < 0.6 * losses[0]
    assert score(network, task.x_valid, task.y_valid).accuracy >= 0.75
