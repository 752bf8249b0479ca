# SPDX-License-Identifier: Apache-2.0
"""What a supernet is trained with: penalties, smooth maxima, probabilities, batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import Parts
from tinytailor.nas.spaces import SPACES, build_space
from tinytailor.nas.supernet.expected_cost import penalty, smooth_max
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.testing.spaces import expected, random_supernet
from tinytailor.nas.training.train import cross_entropy, endless_batches

pytestmark = [pytest.mark.torch]


def test_the_penalty_is_zero_within_the_budget_and_grows_beyond_it() -> None:
    space = build_space("micronas", 40, 6, 4)
    supernet = Supernet(space, seeded(0))
    cost = expected(supernet, Parts(FormulaCosts()))
    latency = float(cost.latency_ms.detach())
    assert float(penalty(cost, Budget(latency_ms=latency * 1.01)).detach()) == 0.0
    over = penalty(cost, Budget(latency_ms=latency / 2))
    assert float(over.detach()) == pytest.approx(np.log(2), rel=1e-3)
    over.backward()
    assert any(a.grad is not None and a.grad.abs().max() > 0 for a in supernet.alphas.values())
    assert float(penalty(cost, Budget()).detach()) == 0.0


def test_every_large_operator_gets_a_share_of_the_memory_gradient() -> None:
    values = torch.tensor([100.0, 99.0, 10.0], requires_grad=True)
    top = smooth_max(values)
    top.backward()
    assert float(top.detach()) >= 100.0
    assert values.grad is not None
    assert values.grad[1] > 0.3
    assert values.grad[2] < 1e-6


def test_softmax_runs_over_options_and_over_classes_not_over_the_batch() -> None:
    supernet = random_supernet(SPACES["micronas"].tiny())
    for drawn in (supernet.probabilities(), supernet.draw(0.7, seeded(0))):
        for p in drawn.values():
            assert p.ndim == 1
            assert float(p.sum().detach()) == pytest.approx(1.0, abs=1e-5)
    logits, y = torch.randn((5, 3), generator=seeded(0)), torch.tensor([0, 2, 1, 1, 0])
    shares = torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True)
    by_hand = -torch.log(shares[torch.arange(5), y]).mean()
    torch.testing.assert_close(cross_entropy(logits, y), by_hand)


def test_consecutive_steps_see_different_series_and_an_epoch_sees_all() -> None:
    batches = list(itertools.islice(endless_batches(10, 4, seeded(0)), 6))
    for epoch in (batches[:3], batches[3:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(10))
    assert batches[0].tolist() != batches[3].tolist()
