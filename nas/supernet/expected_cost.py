# SPDX-License-Identifier: Apache-2.0
"""The expected cost of a distribution over networks, differentiable in its probabilities.

A layer present with probability p, reading i channels with probability v_i and writing o with w_o
costs in expectation

    p * sum_{o,i} w_o L[o,i] v_i = p * (w^T L v),     L from the latency table.

Latency and flash are sums of such terms plus the fixed shares of ``cost.Parts``. RAM is a maximum
over layers, taken smoothly so that all large layers get a gradient and not only the largest:
m = t log sum exp(p_k r_k / t) with t a twentieth of the largest, at most t log(layers) too high.
Kernels used twice are counted twice in flash, which the exact cost corrects later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import Parts, limits
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.supernet.placements import Placement
from tinytailor.nas.supernet.plan import Slot

SMOOTHNESS = 0.05


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """Tensors of rank 0: milliseconds and bytes."""

    latency_ms: Tensor
    ram_bytes: Tensor
    flash_bytes: Tensor


@dataclass(frozen=True, slots=True)
class Prices:
    """The matrices L[o,i] of one slot.

    ``inner_bytes``: the most that it needs in RAM beside its inputs and its output, for scratch
    memory and for tensors inside of it.
    """

    latency_ms: Tensor
    inner_bytes: Tensor
    flash_bytes: Tensor


def price_slots(slots: Sequence[Slot], parts: Parts) -> dict[str, Prices]:
    """Look every width of every slot up in the table; InputError if one was not measured."""
    prices = {}
    for slot in slots:
        rows = [[_price(slot.topology(i, o), parts) for i in slot.inputs] for o in slot.outputs]
        latency, inner, flash = torch.tensor(rows).unbind(2)
        prices[slot.name] = Prices(latency, inner, flash)
    return prices


def _price(topology: Topology, parts: Parts) -> tuple[float, float, float]:
    cost, shapes = parts.part(topology), topology.shapes
    borders = (*topology.inputs, topology.output)
    outside = sum(prod(shapes[name]) for name in borders)
    return cost.latency_ms, cost.ram_bytes - outside, cost.flash_bytes


def expected_cost(
    placements: Sequence[Placement], prices: dict[str, Prices], parts: Parts
) -> ExpectedCost:
    latency, flash, memory = [], [], []
    for placed in placements:
        price = prices[placed.slot.name]
        w, v = placed.widths_out, placed.widths_in
        latency.append(placed.presence * (w @ price.latency_ms @ v))
        flash.append(placed.presence * (w @ price.flash_bytes @ v))
        memory.append(placed.alive_bytes + placed.presence * (w @ price.inner_bytes @ v))
    return ExpectedCost(
        parts.latency_base + torch.stack(latency).sum(),
        parts.ram_base + smooth_max(torch.stack(memory)),
        parts.flash_base + torch.stack(flash).sum(),
    )


def smooth_max(values: Tensor) -> Tensor:
    """t log sum exp(values / t): at least the maximum, with a gradient for every large value."""
    t = SMOOTHNESS * values.detach().max().clamp(min=1e-9)
    return t * torch.logsumexp(values / t, dim=0)


def penalty(cost: ExpectedCost, budget: Budget) -> Tensor:
    """Zero within the budget; beyond it, the sum over limits of log(cost / limit)."""
    total = torch.zeros(())
    values = (cost.latency_ms, cost.ram_bytes, cost.flash_bytes)
    for value, limit in zip(values, limits(budget), strict=True):
        if limit is not None:
            total = total + torch.log(value / limit).clamp(min=0)
    return total
