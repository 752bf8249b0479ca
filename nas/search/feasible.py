# SPDX-License-Identifier: Apache-2.0
"""Whether the budgets can be met at all, answered before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinytailor.latency_tables import Budget
from tinytailor.nas.constraint import Constraint, exact_excess
from tinytailor.nas.cost import NetworkCost, amounts
from tinytailor.nas.search.cheapest import Cheapest, least_costs
from tinytailor.nas.search.repair import repair
from tinytailor.nas.spaces import Architecture, Space
from tinytailor.targets.errors import BudgetError

STARTS = 10


@dataclass(frozen=True, slots=True)
class Limit:
    """One line of a budget: the most of an amount (0 latency, 1 RAM, 2 flash), and how it reads."""

    name: str
    kind: int
    most: float
    text: Callable[[float], str]


def named_limits(budget: Budget) -> tuple[Limit, ...]:
    """The limits that ``budget`` sets; an energy is one of the time in which it is spent."""
    power = budget.active_mw or 0.0

    def energy(ms: float) -> str:
        return f"{ms * power:.1f} uJ ({ms:.3f} ms at {power:g} mW)"

    lines = (
        ("latency", 0, budget.latency_ms, milliseconds),
        ("energy", 0, budget.energy_ms, energy),
        ("ram", 1, budget.ram_bytes, size),
        ("flash", 2, budget.flash_bytes, size),
    )
    return tuple(Limit(n, kind, most, text) for n, kind, most, text in lines if most is not None)


def milliseconds(value: float) -> str:
    return f"{value:.3f} ms"


def size(value: float) -> str:
    return f"{value / 1024:.2f} KiB ({value:.0f} bytes)"


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
    wanted = (f"{wishes(one)} on {one.device}" for one in constraints)
    has = (f"{described(one.network(closest), one.budget)} on {one.device}" for one in constraints)
    raise BudgetError(
        f"no network of space {space.spec} was found within {'; '.join(wanted)} together, though "
        f"each limit alone can be met; the closest has {'; '.join(has)}; nothing was trained"
    )


def wishes(one: Constraint) -> str:
    """The limits of one device."""
    return ", ".join(f"{limit.name} {limit.text(limit.most)}" for limit in named_limits(one.budget))


def _cannot_be_met(space: Space, one: Constraint, found: Cheapest) -> list[str]:
    return [
        f"{limit.name} {limit.text(limit.most)} cannot be met on {one.device}: the smallest "
        f"achievable with space {space.spec} is {limit.text(found.least[limit.kind])}"
        for limit in named_limits(one.budget)
        if found.least[limit.kind] > limit.most
    ]


def described(cost: NetworkCost, budget: Budget) -> str:
    """All amounts of a network, and those that are limited otherwise."""
    latency, ram, flash = amounts(cost)
    limits = named_limits(budget)
    energies = [f"energy {limit.text(latency)}" for limit in limits if limit.name == "energy"]
    return ", ".join(
        (f"latency {milliseconds(latency)}", *energies, f"ram {size(ram)}", f"flash {size(flash)}")
    )
