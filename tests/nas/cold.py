# SPDX-License-Identifier: Apache-2.0
"""Prices as a process makes them that has never made one: nothing is remembered from before."""

from __future__ import annotations

import dataclasses
import sys
from functools import _lru_cache_wrapper

from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.cost import Cost, NodeCost
from tinytailor.nas.cost import TableCosts
from tinytailor.nas.network.topology import Topology
from tinytailor.targets import Board


def forget() -> None:
    """Empty the caches of every function of the package."""
    modules = [one for name, one in list(sys.modules.items()) if name.startswith("tinytailor.")]
    for function in [value for one in modules for value in vars(one).values()]:
        if isinstance(function, _lru_cache_wrapper):
            function.cache_clear()


def cold_price(table: LatencyTable, board: Board, topology: Topology) -> Cost:
    """By operators that are all lowered anew: no row of the table says where its memory lies."""
    bare = LatencyTable(table.path, table.header)
    for row in table.rows.values():
        bare.rows.add(dataclasses.replace(row, placement=None))
    forget()
    return TableCosts(bare, board).whole(Topology(topology.input_shape, topology.layers))


def without_placement(cost: Cost) -> Cost:
    """``cost``, its rows as of a table that was made without saying where memory lies."""

    def bare(node: NodeCost) -> NodeCost:
        return dataclasses.replace(node, row=dataclasses.replace(node.row, placement=None))

    return dataclasses.replace(cost, per_node=tuple(map(bare, cost.per_node)))
