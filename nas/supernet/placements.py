# SPDX-License-Identifier: Apache-2.0
"""Which layers a distribution over a space may need, how likely and how wide.

Under probabilities of all decisions a slot exists with probability p, reads i channels with
probability v_i and writes o with w_o. What enters a cell is independent of the cell's own
decisions, and a cell that may be left out hands on keep * own + (1 - keep) * v: so the products of
probabilities are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tinytailor.nas.spaces.decisions import Decision
from tinytailor.nas.spaces.scenarios import Scenario, Span
from tinytailor.nas.supernet.odds import (
    Probabilities,
    mean_width,
    onto,
    probability,
    spread,
    times,
)
from tinytailor.nas.supernet.plan import CellPlan, Slot


@dataclass(frozen=True, slots=True)
class Placement:
    """A slot, its presence p, widths v (in) and w (out), and the expected bytes of tensors that
    are alive while it runs, its own included and 0 where it is absent."""

    slot: Slot
    presence: Tensor
    widths_in: Tensor
    widths_out: Tensor
    alive_bytes: Tensor


def place(
    plan: CellPlan, p: Probabilities, entering: Tensor
) -> tuple[tuple[Placement, ...], Tensor]:
    """Every slot of a cell, and the distribution of channels that leaves it."""
    cell = plan.stage.cell

    def widths(span: Span) -> Tensor:
        return spread(p, cell.decision, span, entering)

    shares = torch.stack([_share(p, cell.decision, scenario) for scenario in plan.scenarios])
    keep = torch.ones(()) if cell.keep is None else p[cell.keep.name][1]
    presence = keep * (plan.present @ shares)
    means = torch.stack([mean_width(widths(span), span.options) for span in plan.columns])
    alive = keep * ((plan.alive @ means) @ shares)
    placed = tuple(
        Placement(
            slot,
            presence[row],
            torch.ones(1) if slot.one_width else widths(slot.reads),
            widths(slot.writes),
            alive[row],
        )
        for row, slot in enumerate(plan.slots.values())
    )
    return placed, _leaving(plan, shares, keep, widths, entering)


def _share(p: Probabilities, decisions: Mapping[str, Decision], scenario: Scenario) -> Tensor:
    """The probability of a scenario."""
    share: Tensor | None = None
    for when in scenario.holds:
        share = times(share, probability(p, decisions[when.decision], when))
    return torch.ones(()) if share is None else share


def _leaving(
    plan: CellPlan, shares: Tensor, keep: Tensor, widths: Callable[[Span], Tensor], entering: Tensor
) -> Tensor:
    """The distribution over what ``scenarios.leaving`` lists."""
    options = tuple(sorted({option for span in plan.results for option in span.options}))
    own = torch.zeros(len(options))
    kinds = set(plan.results)
    for span in kinds:
        here = [share for share, result in zip(shares, plan.results, strict=True) if result == span]
        weight = torch.stack(here).sum() if len(kinds) > 1 else 1.0
        own = own + weight * onto(widths(span), span.options, options)
    if plan.stage.cell.keep is None or kinds == {plan.entering}:
        return own
    return keep * own + (1 - keep) * entering
