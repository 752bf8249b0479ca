# SPDX-License-Identifier: Apache-2.0
"""From any network to one that fits the budget of every device by its exact cost.

While a limit is exceeded, take the neighbour (one decision changed) that removes the most excess
for the log probability it gives up. Neighbours are ranked by the cheap sum of parts; every step is
taken on exact costs, and no network is returned that the exact cost does not admit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinytailor.nas.constraint import Constraint, exact_excess, summed_excess
from tinytailor.nas.spaces import Architecture, Space, neighbours

EXACT_TRIES = 6
STEPS = 200


def repair(
    space: Space,
    constraints: Sequence[Constraint],
    start: Architecture,
    log_probability: Callable[[Architecture], float] = lambda network: 0.0,
) -> Architecture | None:
    """A network within every budget near ``start``, or None if no step reduces the excess."""
    network, over = start, exact_excess(constraints, space.topology(start))
    for _ in range(STEPS):
        if over == 0:
            return network
        step = _best_step(space, constraints, network, over, log_probability)
        if step is None:
            return None
        network, over = step
    return None


def _best_step(
    space: Space,
    constraints: Sequence[Constraint],
    network: Architecture,
    over: float,
    log_probability: Callable[[Architecture], float],
) -> tuple[Architecture, float] | None:
    here = log_probability(network)
    now = summed_excess(constraints, space.topology(network))

    def merit(candidate: Architecture) -> float:
        gain = now - summed_excess(constraints, space.topology(candidate))
        return gain / (0.1 + max(here - log_probability(candidate), 0.0))

    ranked = sorted(neighbours(space, network), key=merit, reverse=True)
    for first in range(0, len(ranked), EXACT_TRIES):
        exact = [
            (candidate, exact_excess(constraints, space.topology(candidate)))
            for candidate in ranked[first : first + EXACT_TRIES]
        ]
        better = [entry for entry in exact if entry[1] < over]
        if better:
            return max(
                better,
                key=lambda e: (over - e[1]) / (0.1 + max(here - log_probability(e[0]), 0.0)),
            )
    return None
