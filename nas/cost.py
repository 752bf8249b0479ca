# SPDX-License-Identifier: Apache-2.0
"""What networks cost, exactly and by parts.

Exact costs come from ``latency_tables.network_cost`` over the real memory plan; a found network is
only ever accepted by them. The search needs costs that are sums over operators and differentiable:

    latency = base + node * operators + sum cycles / clock
    flash   = base + node * operators + sum (constants + code)
    RAM     = base + max over operators of (tensors alive + scratch)

``Parts`` holds the bases and nodes, fitted once to the exact costs of some networks of the space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Protocol, TypeVar

import numpy as np

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables import Budget, LatencyTable
from tinytailor.latency_tables.cost import Cost, network_cost
from tinytailor.latency_tables.estimate import EstimatedTable
from tinytailor.nas.network.graphs import placeholder_graph
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.spaces.base import Space
from tinytailor.targets import Board, cross_toolchain
from tinytailor.targets.errors import InputError, ToolError

FIT_NETWORKS = 24
Price = TypeVar("Price")
REMEMBERED = 2048  # prices of whole networks, of which a long search asks for without end


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One operator alone: milliseconds, and bytes of scratch memory and of flash."""

    latency_ms: float
    scratch_bytes: int
    flash_bytes: int


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """A whole network, as a Budget limits it."""

    latency_ms: float
    ram_bytes: float
    flash_bytes: float


class Costs(Protocol):
    """The prices of one device."""

    name: str
    isa: str

    def operator(self, key: OpKey) -> OperatorCost: ...

    def network(self, topology: Topology) -> NetworkCost:
        """The exact cost of the compiled network."""


def recalled(
    memory: dict[Topology, Price], key: Topology, price: Callable[[Topology], Price]
) -> Price:
    """What ``memory`` has for ``key``; it keeps the last REMEMBERED prices that were made."""
    found = memory.get(key)
    if found is None:
        found = memory[key] = price(key)
        if len(memory) > REMEMBERED:
            del memory[next(iter(memory))]
    return found


class TableCosts:
    """Prices from a latency table; the last networks that were priced are remembered."""

    def __init__(self, table: LatencyTable | EstimatedTable, board: Board) -> None:
        self.table, self.board = table, board
        self.name, self.isa = board.name, str(board.core.isa)
        self._networks: dict[Topology, Cost] = {}

    def operator(self, key: OpKey) -> OperatorCost:
        row = self.table[key]
        cycles = row.cycles_under(self.board.latency)
        milliseconds = cycles / self.board.clock_hz * 1e3
        flash = row.constant_bytes + row.code_bytes + row.entry_bytes
        return OperatorCost(milliseconds, row.scratch_bytes, flash)

    def whole(self, topology: Topology) -> Cost:
        """The full record of ``network_cost``, provenance and nodes included."""
        return recalled(self._networks, topology, self._whole)

    def _whole(self, topology: Topology) -> Cost:
        return network_cost(placeholder_graph(topology), self.table, self.board, weights=False)

    def final(self, topology: Topology) -> Cost:
        """The same with RAM and flash of the linked program, as its provenance says; where there is
        no compiler for the board it stays with the sums, and says that."""
        try:
            toolchain = cross_toolchain()
        except ToolError:
            return self.whole(topology)
        graph = placeholder_graph(topology)
        return network_cost(graph, self.table, self.board, weights=False, toolchain=toolchain)

    def network(self, topology: Topology) -> NetworkCost:
        cost = self.whole(topology)
        return NetworkCost(cost.latency_ms, cost.ram_bytes, cost.flash_bytes)


def require_keys(space: Space, table: LatencyTable | EstimatedTable, isa: str, target: str) -> None:
    """InputError naming the command if the table lacks operators of the space."""
    keys = space.keys(isa)
    missing = [key for key in keys if key not in table]
    if missing:
        raise InputError(
            f"{table.path} lacks {len(missing)} of the {len(keys)} operators of space "
            f"{space.spec}, first: {missing[0].kind} {missing[0].input_shapes} "
            f"{missing[0].attributes}; measure them with: "
            f"{table.header.command(table.path, target, space.spec)}"
        )


def excess(cost: NetworkCost, budget: Budget) -> float:
    """0 within the budget, else the sum of how far each broken limit is exceeded, relatively."""
    pairs = zip(amounts(cost), limits(budget), strict=True)
    return sum(max(value / limit - 1, 0.0) for value, limit in pairs if limit is not None)


def amounts(cost: NetworkCost) -> tuple[float, float, float]:
    return cost.latency_ms, cost.ram_bytes, cost.flash_bytes


def limits(budget: Budget) -> tuple[float | None, float | None, float | None]:
    """Of each of ``amounts``; the time is also limited by the energy, where that is."""
    return budget.time_ms, budget.ram_bytes, budget.flash_bytes


def alive_bytes(topology: Topology) -> tuple[int, ...]:
    """Bytes of int8 tensors in the arena while each step runs, its output included."""
    size = {name: prod(shape) for name, shape in topology.shapes.items()}
    if topology.first:
        size[INPUT] = 0
    steps = topology.steps
    last = {source: i for i, step in enumerate(steps) for source in step.sources}
    made = dict.fromkeys(topology.inputs, -1)
    made |= {step.name: i for i, step in enumerate(steps)}
    return tuple(
        sum(size[name] for name in size if made[name] <= i <= last.get(name, made[name]))
        for i in range(len(steps))
    )


@dataclass(frozen=True)
class Parts:
    """Costs of parts of a network under one device's prices, and the fixed shares (see above)."""

    costs: Costs
    latency_base: float = 0.0
    latency_node: float = 0.0
    ram_base: float = 0.0
    flash_base: float = 0.0
    flash_node: float = 0.0

    @property
    def bases(self) -> dict[str, float]:
        """The fitted numbers by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "costs"}

    @cached_property
    def _remembered(self) -> dict[OpKey, OperatorCost]:
        return {}

    @cached_property
    def _priced(self) -> dict[Topology, NetworkCost]:
        return {}

    @cached_property
    def _networks(self) -> dict[Topology, NetworkCost]:
        return {}

    def operator(self, key: OpKey) -> OperatorCost:
        if key not in self._remembered:
            self._remembered[key] = self.costs.operator(key)
        return self._remembered[key]

    def part(self, topology: Topology) -> NetworkCost:
        """Of some layers, without the bases: latency and flash add up, RAM is a maximum."""
        if topology not in self._priced:
            self._priced[topology] = self._price(topology)
        return self._priced[topology]

    def estimate(self, topology: Topology) -> NetworkCost:
        """Of a network, the bases included: nearly its exact cost."""
        latency, ram, flash = amounts(recalled(self._networks, topology, self._price))
        return NetworkCost(
            latency + self.latency_base, ram + self.ram_base, flash + self.flash_base
        )

    def _price(self, topology: Topology) -> NetworkCost:
        rows = [self.operator(key) for key in topology.keys(self.costs.isa)]
        alive = alive_bytes(topology)
        return NetworkCost(
            sum(row.latency_ms + self.latency_node for row in rows),
            max((a + row.scratch_bytes for a, row in zip(alive, rows, strict=True)), default=0),
            sum(row.flash_bytes + self.flash_node for row in rows),
        )


def fit_parts(
    space: Space,
    costs: Costs,
    seed: int,
    on_network: Callable[[int, int], None] = lambda done, total: None,
) -> Parts:
    """Bases and nodes from the exact costs of sampled networks, by least squares."""
    rng = np.random.default_rng(seed)
    networks = [space.smallest(), *(space.sample(rng) for _ in range(FIT_NETWORKS))]
    bare = Parts(costs)
    topologies = [space.topology(network) for network in networks]
    nodes = np.array([len(topology.steps) for topology in topologies], float)
    parts = np.array([amounts(bare.part(topology)) for topology in topologies])
    exact = np.zeros_like(parts)
    for place, topology in enumerate(topologies):
        exact[place] = amounts(costs.network(topology))
        on_network(place + 1, len(topologies))
    rest = exact - parts
    unknowns = np.stack([np.ones_like(nodes), nodes], axis=1)
    (latency_base, latency_node), *_ = np.linalg.lstsq(unknowns, rest[:, 0], rcond=None)
    (flash_base, flash_node), *_ = np.linalg.lstsq(unknowns, rest[:, 2], rcond=None)
    return Parts(
        costs,
        float(latency_base),
        float(latency_node),
        float(np.median(rest[:, 1])),
        float(flash_base),
        float(flash_node),
    )
