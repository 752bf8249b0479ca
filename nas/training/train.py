# SPDX-License-Identifier: Apache-2.0
"""Training a network on a small set of series or images, resumable after any epoch.

AdamW with a one-cycle rate (linear warm-up, cosine to zero); cross entropy over classes (dim 1)
with label smoothing and, if asked for, weights of the classes; augmentation and dropout as the
recipe says. With a teacher (Hinton et al. 2015, arXiv 1503.02531)

    L = (1 - s) CE(labels) + s T^2 KL(softmax(teacher / T) || softmax(logits / T))

All chance comes from one generator whose state is part of the checkpoint, so a run that was killed
and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.network.float_network import Dropout, FloatNetwork
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.scores import Scores, accuracy, numbered, score_answers
from tinytailor.nas.training.checkpoint import Checkpoint
from tinytailor.nas.training.samples import Samples

Teacher = Callable[[Tensor], Tensor]  # (N, C, H, W) as a network reads it, to logits (N, classes)
TEACHER_SHARE, TEMPERATURE = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Score:
    """What was answered, and the mean cross entropy, weighted as in training."""

    scores: Scores
    loss: float

    @property
    def accuracy(self) -> float:
        return accuracy(self.scores)


Progress = Callable[[int, int, float], None]  # epochs done, epochs in all, last training loss


def fit(
    network: nn.Module,
    samples: Samples,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    weights: Tensor | None = None,
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
    on_epoch: Progress = lambda done, total, loss: None,
) -> list[float]:
    """Train in place, from ``checkpoint`` if it exists; returns the mean loss of every epoch.

    ``weights`` (classes,) are those of `cross_entropy`.
    """
    samples.prepare(network)
    optimizer = optimizer_of(network.parameters(), recipe)
    kept = checkpoint and Checkpoint(checkpoint, repr(recipe), network, optimizer, generator)
    losses = kept.restore() if kept else []
    if isinstance(network, FloatNetwork):
        network.dropout = Dropout(recipe.dropout, generator)
    for epoch in range(len(losses), recipe.epochs):
        network.train()
        total, steps = 0.0, 0
        batches = list(epoch_batches(len(samples), recipe.batch, generator))
        for step, rows in enumerate(batches):
            set_rate(optimizer, recipe, (epoch + step / len(batches)) / recipe.epochs)
            x = samples.batch(rows, recipe.augment, generator)
            logits = network(x)
            loss = cross_entropy(logits, samples.y[rows], recipe.smoothing, weights)
            if teacher is not None:
                soft = distillation(logits, teacher(x))
                loss = (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * soft
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            total, steps = total + float(loss.detach()), steps + 1
        losses.append(total / steps)
        if kept:
            kept.save(losses)
        on_epoch(epoch + 1, recipe.epochs, losses[-1])
    network.eval()
    return losses


def optimizer_of(parameters: Iterator[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """Weights decay; gains and biases, of one axis, do not."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in listed if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, recipe.learning_rate)


def set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, position: float) -> None:
    """That of ``position`` in 0..1 of the training."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * one_cycle(position, recipe.warmup)


def distillation(logits: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(logits / T)), mean over rows of (N, classes)."""
    soft = functional.log_softmax(logits / temperature, dim=1)
    wanted = functional.softmax(teacher.detach() / temperature, dim=1)
    return temperature**2 * functional.kl_div(soft, wanted, reduction="batchmean")


def cross_entropy(
    logits: Tensor, y: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Mean cross entropy of logits (N, classes): the softmax runs over classes, dim 1.

    ``weights`` (classes,): 1/N sum_i weights[y_i] CE_i. torch's own would divide by the weights of
    the batch instead of N, so that a rare class counts less than it should in the batches it is in.
    """
    if weights is None:
        return functional.cross_entropy(logits, y, label_smoothing=smoothing)
    each = functional.cross_entropy(logits, y, label_smoothing=smoothing, reduction="none")
    return (weights[y] * each).mean()


def score(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    names: Sequence[str] = (),
    weights: Tensor | None = None,
    batch: int = 512,
) -> Score:
    """Scores and loss in evaluation mode; without ``names`` the classes are numbered."""
    logits = answers(network, x, batch)
    loss = float(cross_entropy(logits, y, weights=weights))
    names = names or numbered(logits.shape[1])
    return Score(score_answers(y.numpy(), logits.argmax(1).numpy(), names), loss)


def answers(network: nn.Module, x: Tensor, batch: int = 512) -> Tensor:
    """Logits (N, classes) in evaluation mode."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in x.split(batch)])


def one_cycle(position: float, warmup: float) -> float:
    """Factor of the learning rate at ``position`` in 0..1 of the run."""
    if position < warmup:
        return 0.1 + 0.9 * position / warmup
    return 0.5 * (1 + math.cos(math.pi * (position - warmup) / (1 - warmup)))


def epoch_batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of one epoch: a new permutation, cut into nearly equal batches."""
    order = torch.randperm(count, generator=generator)
    return iter(order.tensor_split(-(-count // size)))


def endless_batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Epoch after epoch of batches, so consecutive steps see different series."""
    while True:
        yield from epoch_batches(count, size, generator)
