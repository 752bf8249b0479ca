# SPDX-License-Identifier: Apache-2.0
"""The cheapest networks of a space, found without training anything.

Latency and flash are sums over layers and RAM is a maximum, so with best[s][c] the least cost of
the first s cells that hand on c channels, and join one of + and max,

    best[s+1][c'] = min over c, and decisions of cell s that hand on c', of join(best[s][c], cost)

The cost of a cell depends on c and its own decisions only: the minimum is exact for the parts'
costs; ``least_costs`` then prices the winners exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinytailor.nas.cost import Parts, amounts
from tinytailor.nas.network.topology import INPUT
from tinytailor.nas.spaces import Architecture, Option, Space, architecture


@dataclass(frozen=True, slots=True)
class Cheapest:
    """For each of latency, RAM and flash: the least exact cost found, and its network."""

    networks: tuple[Architecture, Architecture, Architecture]
    least: tuple[float, float, float]


def cheapest(space: Space, parts: Parts) -> tuple[Architecture, Architecture, Architecture]:
    """The networks of least latency, of least RAM and of least flash, by ``parts``."""
    return extremes(space, parts, 1.0)


def dearest(space: Space, parts: Parts) -> tuple[Architecture, Architecture, Architecture]:
    """Those of largest latency, RAM and flash."""
    return extremes(space, parts, -1.0)


def extremes(
    space: Space, parts: Parts, sign: float
) -> tuple[Architecture, Architecture, Architecture]:
    """The networks of least ``sign`` times latency, RAM and flash."""
    joins: tuple[Callable[[float, float], float], ...] = (_plus, max, _plus)
    chains: list[dict[int, tuple[float, dict[str, Option]]]] = [
        {space.input_shape[2]: (0.0, {})} for _ in joins
    ]
    for stage in space.stages:
        following: list[dict[int, tuple[float, dict[str, Option]]]] = [{} for _ in joins]
        for choice in stage.cell.choices():
            for channels in stage.in_channels:
                _, leaving = stage.cell.layers(channels, choice, INPUT)
                cost = amounts(parts.part(stage.topology(channels, choice)))
                for k, join in enumerate(joins):
                    if channels not in chains[k]:
                        continue
                    before, taken = chains[k][channels]
                    total = join(before, cost[k])
                    if (
                        leaving not in following[k]
                        or sign * total < sign * following[k][leaving][0]
                    ):
                        following[k][leaving] = (total, {**taken, **choice})
        chains = following
    latency, ram, flash = (
        architecture(space, min(chain.values(), key=lambda entry: sign * entry[0])[1])
        for chain in chains
    )
    return latency, ram, flash


def _plus(a: float, b: float) -> float:
    return a + b


def least_costs(space: Space, parts: Parts) -> Cheapest:
    """Exact costs of the cheapest networks and of the smallest; the least of each kind."""
    candidates = (*cheapest(space, parts), space.smallest())
    costs = [amounts(parts.costs.network(space.topology(network))) for network in candidates]
    winners = [min(range(len(candidates)), key=lambda i: costs[i][k]) for k in range(3)]
    latency, ram, flash = (candidates[i] for i in winners)
    least = tuple(costs[i][k] for k, i in enumerate(winners))
    return Cheapest((latency, ram, flash), (least[0], least[1], least[2]))
