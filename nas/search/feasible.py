# SPDX-License-Identifier: Apache-2.0
"""Whether a budget can be met at all, answered before anything is trained."""

from __future__ import annotations

import numpy as np

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import Parts, amounts, excess, limits
from tinytailor.nas.search.cheapest import least_costs
from tinytailor.nas.search.repair import repair
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.targets.errors import BudgetError

STARTS = 10
NAMES = ("latency", "ram", "flash")


def feasible_network(space: Space, parts: Parts, budget: Budget, seed: int) -> Architecture:
    """Some network within ``budget``; BudgetError naming each limit and the least that is possible.

    A limit below the least cost of its kind is certain to be infeasible. Limits that can each be
    met but, as far as found, not together are reported with the network that comes closest.
    """
    found = least_costs(space, parts)
    lines = [
        f"{NAMES[k]} {amount(k, limit)} cannot be met: the smallest achievable with space "
        f"{space.spec} is {amount(k, found.least[k])}"
        for k, limit in enumerate(limits(budget))
        if limit is not None and found.least[k] > limit
    ]
    if lines:
        raise BudgetError("; ".join(lines) + "; nothing was trained")
    rng = np.random.default_rng(seed)
    starts = (*found.networks, space.smallest(), *(space.sample(rng) for _ in range(STARTS)))
    for start in starts:
        network = repair(space, parts, budget, start)
        if network is not None:
            return network
    costs = [parts.costs.network(space.topology(network)) for network in starts]
    closest = min(costs, key=lambda cost: excess(cost, budget))
    wanted = describe(limits(budget))
    raise BudgetError(
        f"no network of space {space.spec} was found within {wanted} together, though each limit "
        f"alone can be met; the closest has {describe(amounts(closest))}; nothing was trained"
    )


def amount(kind: int, value: float) -> str:
    """A latency (kind 0) or a size (1 RAM, 2 flash) with its unit."""
    return f"{value:.3f} ms" if kind == 0 else f"{value / 1024:.2f} KiB ({value:.0f} bytes)"


def describe(values: tuple[float | None, float | None, float | None]) -> str:
    named = zip(NAMES, range(3), values, strict=True)
    return ", ".join(f"{name} {amount(k, v)}" for name, k, v in named if v is not None)
