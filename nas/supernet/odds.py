# SPDX-License-Identifier: Apache-2.0
"""Arithmetic with the probabilities of decisions: of conditions, and of numbers of channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from tinytailor.nas.spaces.decisions import Decision, Option, When
from tinytailor.nas.spaces.scenarios import Span

Probabilities = Mapping[str, Tensor]  # of every decision, by its name; dim 0 runs over its options


def places(decision: Decision, options: Iterable[Option]) -> list[int]:
    """Where ``options`` stand among those of the decision."""
    return [decision.options.index(option) for option in options]


def probability(p: Probabilities, decision: Decision, when: When) -> Tensor | None:
    """That the condition holds, rank 0; None where it always does."""
    if len(when.options) == len(decision.options):
        return None
    weights = p[decision.name]
    return torch.stack([weights[i] for i in places(decision, when.options)]).sum()


def times(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Their product, None being one."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def spread(
    p: Probabilities, decisions: Mapping[str, Decision], span: Span, entering: Tensor
) -> Tensor:
    """How likely each of the options of ``span`` is; ``entering``: of those that enter the cell."""
    if not span.source:
        return torch.ones(1)
    if span.source not in decisions:
        return entering
    decision = decisions[span.source]
    if span.options == decision.options:
        return p[decision.name]
    among = p[decision.name][places(decision, span.options)]
    return among / among.sum().clamp(min=1e-9)


def onto(weights: Tensor, options: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """The same distribution over more options."""
    if tuple(options) == tuple(wanted):
        return weights
    index = torch.tensor([list(wanted).index(option) for option in options])
    return torch.zeros(len(wanted)).index_add(0, index, weights)


def mean_width(weights: Tensor, widths: Sequence[int]) -> Tensor:
    return weights @ torch.tensor(widths, dtype=weights.dtype)


def mask(weights: Tensor, counts: Sequence[int]) -> Tensor:
    """sum_i w_i mask_i as (1, C, 1, 1), mask_i keeping the first counts[i] of C = max channels."""
    position = torch.arange(max(counts))
    masks = (position < torch.tensor(counts)[:, None]).float()
    return (weights @ masks)[None, :, None, None]
