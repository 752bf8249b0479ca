# SPDX-License-Identifier: Apache-2.0
"""Searching within a budget: what is impossible is known before training; repair; training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import fit_parts
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.search.dnas import dnas
from tinytailor.nas.search.feasible import feasible_network
from tinytailor.nas.search.repair import exact_excess, repair
from tinytailor.nas.search.study import FinishedTrial, best_trial
from tinytailor.nas.spaces import Architecture, build_space
from tinytailor.nas.testing.algorithms import problem, propose
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.nas.training.train import Training, augment, fit, score
from tinytailor.targets.errors import BudgetError

pytestmark = [pytest.mark.torch]


def test_the_differentiable_search_spends_a_larger_budget_on_a_larger_network() -> None:
    tight, wide = (problem(Budget(latency_ms=limit), epochs=16) for limit in (0.4, 1.6))
    costs = [
        task.parts.costs.network(
            task.space.topology(propose(dnas, task, seed=0).architecture)
        ).latency_ms
        for task in (tight, wide)
    ]
    assert costs[0] <= 0.4 < costs[1] <= 1.6


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        (
            Budget(latency_ms=0.01),
            r"latency 0\.010 ms cannot be met: the smallest achievable .* ms",
        ),
        (Budget(ram_bytes=100), r"ram 0\.10 KiB \(100 bytes\) cannot be met: .*KiB"),
        (Budget(flash_bytes=100), r"flash 0\.10 KiB \(100 bytes\) cannot be met: .*KiB"),
    ],
    ids=str,
)
def test_an_impossible_budget_names_the_smallest_achievable_value(
    budget: Budget, sentence: str
) -> None:
    with pytest.raises(BudgetError, match=f"{sentence}.*; nothing was trained"):
        problem(budget)


def test_the_smallest_achievable_value_is_achieved() -> None:
    space = build_space("timeseries", 48, 3, 2)
    parts = fit_parts(space, FormulaCosts(), seed=0)
    with pytest.raises(BudgetError) as caught:
        feasible_network(space, parts, Budget(flash_bytes=100), seed=0)
    least = int(str(caught.value).rsplit("(", 1)[1].split()[0])
    network = feasible_network(space, parts, Budget(flash_bytes=least), seed=0)
    assert parts.costs.network(space.topology(network)).flash_bytes == least
    with pytest.raises(BudgetError):
        feasible_network(space, parts, Budget(flash_bytes=least - 1), seed=0)


def test_repair_reaches_the_budget_by_exact_costs_or_says_that_it_cannot() -> None:
    space = build_space("timeseries", 48, 3, 2)
    parts = fit_parts(space, FormulaCosts(), seed=0)
    rng = np.random.default_rng(0)
    budget = Budget(latency_ms=0.5, ram_bytes=4_000, flash_bytes=9_000)
    for _ in range(10):
        network = repair(space, parts, budget, space.sample(rng))
        assert network is not None
        assert exact_excess(space, parts, budget, network) == 0
    assert repair(space, parts, Budget(latency_ms=0.001), space.smallest()) is None


def test_repair_gives_up_what_is_least_likely() -> None:
    space = build_space("timeseries", 48, 3, 2)
    parts = fit_parts(space, FormulaCosts(), seed=0)
    start = space.sample(np.random.default_rng(5))
    cost = parts.costs.network(space.topology(start))
    wanted = dict(start.choices)["fusion0.channels"]

    def certain_of_channels(network: Architecture) -> float:
        return 0.0 if dict(network.choices)["fusion0.channels"] == wanted else -50.0

    budget = Budget(latency_ms=0.9 * cost.latency_ms)
    fixed = repair(space, parts, budget, start, certain_of_channels)
    assert fixed is not None
    assert dict(fixed.choices)["fusion0.channels"] == wanted


def test_training_resumed_from_a_checkpoint_ends_with_the_same_weights(tmp_path: Path) -> None:
    task = problem(Budget(), epochs=6)
    training = Training(epochs=6, batch=8)
    topology = task.space.topology(task.feasible)

    def train(checkpoint: Path | None, stop_after: int | None) -> FloatNetwork:
        generator = torch.Generator().manual_seed(3)
        network = FloatNetwork(topology, generator)

        def epoch(done: int, total: int, loss: float) -> None:
            if done == stop_after:
                raise KeyboardInterrupt

        fit(
            network,
            task.x_train,
            task.y_train,
            training,
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
    network = build_space("timeseries", 48, 3, 2).smallest()

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


def test_augmentation_moves_and_scales_but_keeps_shape_and_source() -> None:
    x = torch.randn((5, 1, 40, 3), generator=torch.Generator().manual_seed(0))
    before = x.clone()
    moved = augment(x, Training(), torch.Generator().manual_seed(1))
    assert moved.shape == x.shape
    assert torch.equal(x, before)
    assert 0.05 < (moved - x).abs().mean() < 2.0
    still = augment(x, Training(scale=0, jitter=0, shift=0), torch.Generator().manual_seed(1))
    assert torch.equal(still, x)


def test_a_short_training_learns_two_frequencies() -> None:
    task = problem(Budget())
    generator = torch.Generator().manual_seed(0)
    network = FloatNetwork(task.space.topology(task.feasible), generator)
    losses = fit(network, task.x_train, task.y_train, Training(epochs=30, batch=8), generator)
    assert losses[-1] < 0.6 * losses[0]
    assert score(network, task.x_valid, task.y_valid).accuracy >= 0.75
