# SPDX-License-Identifier: Apache-2.0
"""The baseline: uniform samples of the space, the first within every budget wins.

Where a budget is so tight that no sample fits, the sample that exceeds it least is repaired.
"""

from __future__ import annotations

import numpy as np
import torch

from tinytailor.nas.constraint import exact_excess
from tinytailor.nas.search.base import OnEpoch, Problem, Proposal, Suggest
from tinytailor.nas.search.repair import repair

SAMPLES = 200


def random(
    problem: Problem, trial: Suggest, generator: torch.Generator, on_epoch: OnEpoch
) -> Proposal:
    space, constraints = problem.space, problem.constraints
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    closest, least = problem.feasible, float("inf")
    for tried in range(1, SAMPLES + 1):
        sample = space.sample(rng)
        over = exact_excess(constraints, space.topology(sample))
        if over < least:
            closest, least = sample, over
        on_epoch(tried, SAMPLES, over)
        if over == 0:
            break
    network = repair(space, constraints, closest) or problem.feasible
    return Proposal(network, ({"samples": tried, "least_excess": least},))
