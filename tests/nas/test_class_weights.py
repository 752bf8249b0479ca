# SPDX-License-Identifier: Apache-2.0
"""Weights of classes: their formulas, the loss they make, and that no training leaves them out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy as plain_cross_entropy

from tinytailor.latency_tables import Budget
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.search import Proposal
from tinytailor.nas.search.dnas import Pricer, architecture_losses, shared_loss, weight_step
from tinytailor.nas.search.study import judge
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.testing.algorithms import problem
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.testing.recipes import recipe_of
from tinytailor.nas.training.class_weights import CLASS_WEIGHTS, class_weights
from tinytailor.nas.training.train import cross_entropy, fit, score

pytestmark = [pytest.mark.torch]

LABELS = np.repeat([0, 1, 2], [6, 3, 1])


def test_they_follow_their_formulas() -> None:
    assert class_weights("none", LABELS, 3) is None
    balanced = torch.tensor([10 / (3 * 6), 10 / (3 * 3), 10 / (3 * 1)])
    torch.testing.assert_close(class_weights("balanced", LABELS, 3), balanced)
    many = np.repeat([0, 1], [20_000, 100])
    effective = class_weights("effective", many, 2)
    assert effective is not None
    ratio = (1 - 0.999**20_000) / (1 - 0.999**100)  # 10.5, where balanced has 200
    assert float(effective[1] / effective[0]) == pytest.approx(ratio)


@pytest.mark.parametrize("kind", sorted(CLASS_WEIGHTS.keys() - {"none"}))
def test_they_average_to_one_over_the_samples_and_rarer_classes_weigh_more(kind: str) -> None:
    weights = class_weights(kind, LABELS, 3)
    assert weights is not None
    assert float(weights[LABELS].mean()) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]


def test_the_balanced_loss_is_the_mean_over_classes_of_their_mean_losses() -> None:
    logits, y = torch.randn((10, 3), generator=seeded(0)), torch.from_numpy(LABELS)
    weights = class_weights("balanced", LABELS, 3)
    for smoothing in (0.0, 0.1):
        each = plain_cross_entropy(logits, y, label_smoothing=smoothing, reduction="none")
        by_class = torch.stack([each[y == c].mean() for c in range(3)])
        torch.testing.assert_close(cross_entropy(logits, y, smoothing, weights), by_class.mean())
        torch.testing.assert_close(cross_entropy(logits, y, smoothing), each.mean())


def test_training_answers_only_what_weighs_something() -> None:
    task = problem(Budget())
    network = FloatNetwork(task.space.topology(task.feasible), seeded(0))
    recipe, weights = recipe_of(epochs=25), torch.tensor([0.0, 2.0])
    fit(network, task.train, recipe, seeded(1), weights=weights)
    assert score(network, task.x_train, task.y_train).scores.confusion[:, 0].sum() == 0


def test_every_loss_of_a_search_is_weighted() -> None:
    """With weights of 0 all are 0, and nothing moves."""
    task = replace(problem(Budget()), weights=torch.zeros(2))
    supernet = Supernet(task.space, seeded(0))
    before = [parameter.clone() for parameter in supernet.weight_parameters()]
    optimizer = torch.optim.SGD(supernet.weight_parameters(), 1.0)
    rows = torch.arange(8)
    weight_step(task, supernet, optimizer, rows, 1.0, seeded(1))
    assert all(map(torch.equal, before, supernet.weight_parameters()))
    losses = architecture_losses(task, supernet, Pricer(task, supernet), rows, 1.0, seeded(1))
    assert float(losses.cross_entropy.detach()) == 0
    assert shared_loss(task, supernet, task.feasible) == 0
    trained: list[float] = []
    judged = judge(
        task,
        Proposal(task.feasible),
        recipe_of(epochs=1),
        seeded(2),
        lambda done, total, loss: trained.append(loss),
    )
    assert trained == [0.0]
    assert judged.loss == 0
