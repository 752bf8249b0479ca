# SPDX-License-Identifier: Apache-2.0
"""Local search below a budget: from the best network known to better ones one decision away.

Of the neighbours within the budget some are drawn and evaluated; the best network of all is where
the next round starts. What a budget leaves unused is a neighbour, too: a wider layer is one
decision away, and counts only if it scores higher.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinytailor.nas.front.evaluate import Estimate
from tinytailor.nas.front.ground import Task
from tinytailor.nas.spaces import Architecture, neighbours

ROUND = 8  # neighbours of one network that are evaluated before it is left


def climb(
    task: Task,
    known: dict[Architecture, Estimate],
    evaluate: Callable[[Architecture], Estimate],
    evaluations: int,
    seed: int,
) -> None:
    """Evaluate ``evaluations`` networks more, near the best of those in ``known`` that fit."""
    rng = np.random.default_rng(seed)
    seen: set[Architecture] = set()
    left: set[Architecture] = set()  # all of whose neighbours are known
    estimates = {arch: estimate for arch, estimate in known.items() if task.fits(arch)}
    while len(seen) < evaluations:
        starts = [arch for arch in estimates if arch not in left]
        if not starts:
            return
        start = max(starts, key=lambda arch: estimates[arch].rank)
        near = [arch for arch in neighbours(task.space, start) if arch not in estimates]
        drawn = [near[place] for place in rng.permutation(len(near))]
        fitting = [arch for arch in drawn if task.fits(arch)][:ROUND]
        if len(fitting) < ROUND:
            left.add(start)
        for arch in fitting[: evaluations - len(seen)]:
            estimates[arch] = evaluate(arch)
            seen.add(arch)
