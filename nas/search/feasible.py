# SPDX-License-Identifier: Apache-2.0
"""Whether the budgets can be met at all, answered before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.cost import amounts, limits
from tinytailor.nas.search.cheapest import Cheapest, least_costs
from tinytailor.nas.search.repair import repair
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.targets.errors import BudgetError

STARTS = 10
NAMES = ("latency", "ram", "flash")


def feasible_network(space: Space, constraints: Sequence[Constraint], seed: int) -> Architecture:
    """Some network within all budgets; BudgetError naming each limit and the least that can be had.

    A limit below the least cost of its kind is certain to be infeasible. Limits that can each be
    met but, as far as found, not together are reported with the network that comes closest.
    """
    found = [least_costs(space, one.parts) for one in constraints]
    pairs = zip(constraints, found, strict=True)
    lines = [line for one, least in pairs for line in _cannot_be_met(space, one, least)]
    if lines:
        raise BudgetError("; ".join(lines) + "; nothing was trained")
    rng = np.random.default_rng(seed)
    cheapest = (network for least in found for network in least.networks)
    starts = (*cheapest, space.smallest(), *(space.sample(rng) for _ in range(STARTS)))
    for start in starts:
        network = repair(space, constraints, start)
        if network is not None:
            return network
    closest = min(map(space.topology, starts), key=lambda one: exact_excess(constraints, one))
    wanted = (f"{describe(limits(one.budget))} on {one.device}" for one in constraints)
    has = (f"{describe(amounts(one.network(closest)))} on {one.device}" for one in constraints)
    raise BudgetError(
        f"no network of space {space.spec} was found within {'; '.join(wanted)} together, though "
        f"each limit alone can be met; the closest has {'; '.join(has)}; nothing was trained"
    )


def _cannot_be_met(space: Space, one: Constraint, found: Cheapest) -> list[str]:
    return [
        f"{NAMES[k]} {amount(k, limit)} cannot be met on {one.device}: the smallest achievable "
        f"with space {space.spec} is {amount(k, found.least[k])}"
        for k, limit in enumerate(limits(one.budget))
        if limit is not None and found.least[k] > limit
    ]


def amount(kind: int, value: float) -> str:
    """A latency (kind 0) or a size (1 RAM, 2 flash) with its unit."""
    return f"{value:.3f} ms" if kind == 0 else f"{value / 1024:.2f} KiB ({value:.0f} bytes)"


def describe(values: tuple[float | None, float | None, float | None]) -> str:
    named = zip(NAMES, range(3), values, strict=True)
    return ", ".join(f"{name} {amount(k, v)}" for name, k, v in named if v is not None)
