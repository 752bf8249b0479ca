# SPDX-License-Identifier: Apache-2.0
"""From any network to one that fits the budget by its exact cost.

While a limit is exceeded, take the neighbour (one decision changed) that removes the most excess
for the log probability it gives up. Neighbours are ranked by the cheap sum of parts; every step is
taken on exact costs, and no network is returned that the exact cost does not admit.
"""

from __future__ import annotations

from collections.abc import Callable

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import NetworkCost, Parts, amounts, excess
from tinytailor.nas.spaces import Architecture, Space, neighbours

EXACT_TRIES = 6
STEPS = 200


def repair(
    space: Space,
    parts: Parts,
    budget: Budget,
    start: Architecture,
    log_probability: Callable[[Architecture], float] = lambda network: 0.0,
) -> Architecture | None:
    """A network within ``budget`` near ``start``, or None if no step reduces the excess."""
    network, over = start, exact_excess(space, parts, budget, start)
    for _ in range(STEPS):
        if over == 0:
            return network
        step = _best_step(space, parts, budget, network, over, log_probability)
        if step is None:
            return None
        network, over = step
    return None


def _best_step(
    space: Space,
    parts: Parts,
    budget: Budget,
    network: Architecture,
    over: float,
    log_probability: Callable[[Architecture], float],
) -> tuple[Architecture, float] | None:
    here = log_probability(network)
    now = excess(_estimate(space, parts, network), budget)

    def merit(candidate: Architecture) -> float:
        gain = now - excess(_estimate(space, parts, candidate), budget)
        return gain / (0.1 + max(here - log_probability(candidate), 0.0))

    ranked = sorted(neighbours(space, network), key=merit, reverse=True)
    for first in range(0, len(ranked), EXACT_TRIES):
        exact = [
            (candidate, exact_excess(space, parts, budget, candidate))
            for candidate in ranked[first : first + EXACT_TRIES]
        ]
        better = [entry for entry in exact if entry[1] < over]
        if better:
            return max(
                better,
                key=lambda e: (over - e[1]) / (0.1 + max(here - log_probability(e[0]), 0.0)),
            )
    return None


def exact_excess(space: Space, parts: Parts, budget: Budget, network: Architecture) -> float:
    """0 if the exact cost of ``network`` is within ``budget``."""
    return excess(parts.costs.network(space.topology(network)), budget)


def _estimate(space: Space, parts: Parts, network: Architecture) -> NetworkCost:
    latency, ram, flash = amounts(parts.part(space.topology(network)))
    return NetworkCost(latency + parts.latency_base, ram + parts.ram_base, flash + parts.flash_base)
