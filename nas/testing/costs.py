# SPDX-License-Identifier: Apache-2.0
"""Prices from formulas instead of a measured table: products and overheads at one speed."""

from __future__ import annotations

from math import prod

from tinytailor.compiler.opkey import OpKey
from tinytailor.nas.cost import NetworkCost, OperatorCost, alive_bytes
from tinytailor.nas.network.topology import Topology


class FormulaCosts:
    """Exact costs that follow the sums of cost.py, with a kernel of 400 bytes for each key."""

    isa = "dsp"

    def __init__(self, name: str = "formula", speed: float = 200e3) -> None:
        self.name, self.speed = name, speed  # in products a millisecond
        self.priced: list[Topology] = []

    def operator(self, key: OpKey) -> OperatorCost:
        op = key.operator()
        work = op.macs(*key.input_shapes) + 2 * prod(op.output_shape(*key.input_shapes)) + 500
        work += sum(prod(spec.shape) for spec in op.constants(*key.input_shapes).values()) // 8
        weights = sum(
            prod(spec.shape) * (1 if len(spec.shape) == 4 else 4)
            for spec in op.constants(*key.input_shapes).values()
        )
        return OperatorCost(work / self.speed, 4 * key.input_shapes[0][3], weights + 400)

    def network(self, topology: Topology) -> NetworkCost:
        self.priced.append(topology)
        rows = [self.operator(key) for key in topology.keys(self.isa)]
        memory = zip(alive_bytes(topology), rows, strict=True)
        return NetworkCost(
            0.01 + sum(row.latency_ms + 0.001 for row in rows),
            900 + max(alive + row.scratch_bytes for alive, row in memory),
            3000 + sum(row.flash_bytes + 40 for row in rows),
        )
