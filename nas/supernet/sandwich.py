# SPDX-License-Identifier: Apache-2.0
"""Trains all networks of a space along single paths.

Of every batch learn the largest network, one of the smallest sizes and ``PATHS`` drawn ones: the
sandwich rule (Yu and Huang, arXiv 1903.05134). The small one has the least of every size and
anything else drawn, so that no alternative learns more often than others and then ranks higher. The
largest one learns from the labels, the others from the labels and from what the largest answers to
the same batch: in-place distillation (BigNAS, Yu et al., arXiv 2003.11142). Their gradients are
added up before the step.

The same seed, space, samples and recipe give the same weights, however often a run was killed: the
checkpoint of an epoch holds the state of all chance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tinytailor.nas.network.float_network import Dropout
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.spaces import Architecture, Space, architecture
from tinytailor.nas.supernet.shared import SharedNetwork
from tinytailor.nas.training.checkpoint import Checkpoint
from tinytailor.nas.training.samples import Samples
from tinytailor.nas.training.train import (
    TEACHER_SHARE,
    cross_entropy,
    distillation,
    epoch_batches,
    optimizer_of,
    set_rate,
)

PATHS = 3
OnEpoch = Callable[[int, int, float], None]


def train_shared(
    shared: SharedNetwork,
    samples: Samples,
    recipe: Recipe,
    seed: int,
    *,
    weights: Tensor | None = None,
    checkpoint: Path | None = None,
    mark: str = "",
    on_epoch: OnEpoch = lambda done, total, loss: None,
) -> list[float]:
    """All epochs of ``recipe``, from ``checkpoint`` if it exists; the mean loss of the largest.

    ``mark``: of what else decides the outcome, the samples and the space; a checkpoint of another
    one is refused.
    """
    samples.prepare(shared)
    generator = torch.Generator().manual_seed(seed)
    optimizer = optimizer_of(shared.parameters(), recipe)
    whole = f"{mark} {recipe!r} {seed}"
    kept = checkpoint and Checkpoint(checkpoint, whole, shared, optimizer, generator)
    losses = kept.restore() if kept else []
    shared.train()
    drop = Dropout(recipe.dropout, generator)
    for epoch in range(len(losses), recipe.epochs):
        batches = list(epoch_batches(len(samples), recipe.batch, generator))
        total = 0.0
        for step, rows in enumerate(batches):
            set_rate(optimizer, recipe, (epoch + step / len(batches)) / recipe.epochs)
            x = samples.batch(rows, recipe.augment, generator)
            optimizer.zero_grad(set_to_none=True)
            total += _sandwich(shared, x, samples.y[rows], recipe, weights, drop)
            nn.utils.clip_grad_norm_(shared.parameters(), 5.0)
            optimizer.step()
        losses.append(total / len(batches))
        if kept:
            kept.save(losses)
        on_epoch(epoch + 1, recipe.epochs, losses[-1])
    return losses


def _sandwich(
    shared: SharedNetwork,
    x: Tensor,
    y: Tensor,
    recipe: Recipe,
    weights: Tensor | None,
    drop: Dropout,
) -> float:
    """Adds up the gradients of one batch; the loss of the largest network."""
    space = shared.space
    shared.dropout = drop
    answers = shared(x, space.largest())
    loss = cross_entropy(answers, y, recipe.smoothing, weights)
    loss.backward()
    shared.dropout = None
    for arch in drawn(space, drop.generator):
        logits = shared(x, arch)
        hard = cross_entropy(logits, y, recipe.smoothing, weights)
        soft = distillation(logits, answers)
        mixed = (1 - TEACHER_SHARE) * hard + TEACHER_SHARE * soft
        mixed.backward()
    return float(loss.detach())


def drawn(space: Space, generator: torch.Generator) -> list[Architecture]:
    """Networks of this batch, every option with equal probability; the first of least sizes."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    rng = np.random.default_rng(seed)
    first, *others = (space.sample(rng) for _ in range(PATHS + 1))
    least = {d.name: d.options[0] for d in space.decisions if d.name in space.sizes}
    return [architecture(space, {**dict(first.choices), **least}), *others]
