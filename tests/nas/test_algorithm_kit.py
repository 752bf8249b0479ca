# SPDX-License-Identifier: Apache-2.0
"""Every search algorithm passes the kit; and the kit sees what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tinytailor.nas.search import ALGORITHMS, Algorithm, Proposal
from tinytailor.nas.search.random import random
from tinytailor.nas.testing import algorithms
from tinytailor.nas.testing.algorithms import CHECKS

pytestmark = [pytest.mark.torch]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)
def test_an_algorithm_passes_the_kit(
    algorithm: Algorithm, check: Callable[[Algorithm], None]
) -> None:
    check(algorithm)


def greedy(problem: Any, trial: Any, generator: torch.Generator, on_epoch: Any) -> Proposal:
    """Takes the largest network, whatever the budget."""
    on_epoch(1, 1, 0.0)
    return Proposal(problem.space.largest())


def global_chance(problem: Any, trial: Any, generator: torch.Generator, on_epoch: Any) -> Proposal:
    """Draws from torch's own generator, which belongs to all."""
    return random(
        problem, trial, torch.Generator().manual_seed(int(torch.randint(99, ()))), on_epoch
    )


def stuck(problem: Any, trial: Any, generator: torch.Generator, on_epoch: Any) -> Proposal:
    """Always proposes the same, and keeps a tensor in its history."""
    on_epoch(2, 1, 0.0)
    return Proposal(problem.feasible, ({"loss": torch.zeros(())},))


WRONG = [
    (greedy, algorithms.every_proposal_is_within_the_budget),
    (global_chance, algorithms.it_depends_on_its_generator_alone),
    (stuck, algorithms.it_depends_on_its_generator_alone),
    (stuck, algorithms.its_history_is_json_and_its_progress_ends),
]


@pytest.mark.parametrize(("algorithm", "check"), WRONG, ids=lambda value: value.__name__)
def test_the_kit_sees_what_is_wrong(
    algorithm: Algorithm, check: Callable[[Algorithm], None]
) -> None:
    with pytest.raises((AssertionError, TypeError)):
        check(algorithm)
