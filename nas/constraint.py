# SPDX-License-Identifier: Apache-2.0
"""What a network may cost, on one device or on several at once.

A constraint is the prices of a device and the budget there. A network fits if it is within every
budget by its exact cost. What it is over adds up, so that whatever comes nearer to any limit on any
device counts:

    excess = sum over devices and limits of max(0, cost / limit - 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import NetworkCost, Parts, excess
from tinytailor.nas.network.topology import Topology


@dataclass(frozen=True, slots=True)
class Constraint:
    """The prices of one device, and what a network may cost there."""

    parts: Parts
    budget: Budget

    @property
    def device(self) -> str:
        return self.parts.costs.name

    def network(self, topology: Topology) -> NetworkCost:
        """The exact cost there."""
        return self.parts.costs.network(topology)


def exact_excess(constraints: Sequence[Constraint], topology: Topology) -> float:
    """0 if the exact cost is within the budget of every device."""
    return sum(excess(one.network(topology), one.budget) for one in constraints)


def summed_excess(constraints: Sequence[Constraint], topology: Topology) -> float:
    """The same by the cheap sums of parts."""
    return sum(excess(one.parts.estimate(topology), one.budget) for one in constraints)
