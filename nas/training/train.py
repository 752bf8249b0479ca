# SPDX-License-Identifier: Apache-2.0
"""Training a network on a small set of series or images, resumable after any epoch.

AdamW with a one-cycle rate (linear warm-up, cosine to zero), cross entropy over classes (dim 1)
with label smoothing and, if asked for, weights of the classes, light augmentation (amplitude,
jitter, a shift with repeated borders: in time, or along both sides of an image; never mirrored,
which changes what digits and signs mean).
All chance comes from one generator whose state is part of the checkpoint, so a run that was killed
and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.nas.scores import Scores, accuracy, numbered, score_answers
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_atomically


@dataclass(frozen=True, slots=True)
class Training:
    """How to train: ``shift`` is a fraction of the length, ``scale`` and ``jitter`` of one std.

    ``shift_axes`` are those of (N, C, H, W); the sensors of a series, along W, have no order.
    """

    epochs: int = 120
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    batch: int = 64
    smoothing: float = 0.05
    scale: float = 0.1
    jitter: float = 0.05
    shift: float = 0.05
    shift_axes: tuple[int, ...] = (2,)
    warmup: float = 0.1


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
    x: Tensor,
    y: Tensor,
    training: Training,
    generator: torch.Generator,
    *,
    weights: Tensor | None = None,
    checkpoint: Path | None = None,
    every: int = 1,
    on_epoch: Progress = lambda done, total, loss: None,
) -> list[float]:
    """Train in place, from ``checkpoint`` if it exists; returns the mean loss of every epoch.

    ``weights`` (classes,) are those of `cross_entropy`.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), training.learning_rate, weight_decay=training.weight_decay
    )
    losses: list[float] = []
    if checkpoint is not None and checkpoint.exists():
        losses = _restore(checkpoint, network, optimizer, generator, training)
    for epoch in range(len(losses), training.epochs):
        network.train()
        total, steps = 0.0, 0
        batches = list(epoch_batches(len(x), training.batch, generator))
        for step, rows in enumerate(batches):
            rate = one_cycle((epoch + step / len(batches)) / training.epochs, training.warmup)
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * rate
            logits = network(augment(x[rows], training, generator))
            loss = cross_entropy(logits, y[rows], training.smoothing, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            total, steps = total + float(loss.detach()), steps + 1
        losses.append(total / steps)
        last = epoch + 1 == training.epochs
        if checkpoint is not None and (last or (epoch + 1) % every == 0):
            _save(checkpoint, network, optimizer, generator, training, losses)
        on_epoch(epoch + 1, training.epochs, losses[-1])
    network.eval()
    return losses


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
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part) for part in x.split(batch)])
        answers, names = logits.argmax(1).numpy(), names or numbered(logits.shape[1])
        loss = float(cross_entropy(logits, y, weights=weights))
    return Score(score_answers(y.numpy(), answers, names), loss)


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


def augment(x: Tensor, training: Training, generator: torch.Generator) -> Tensor:
    """A copy of (N, C, H, W): every sample with its own gain and shift, every value with noise."""
    count = len(x)
    gain = 1 + training.scale * torch.randn((count, 1, 1, 1), generator=generator)
    noise = training.jitter * torch.randn(x.shape, generator=generator)
    for axis in training.shift_axes:
        length = x.shape[axis]
        reach = int(training.shift * length)
        offset = torch.randint(-reach, reach + 1, (count, 1), generator=generator)
        index = (torch.arange(length) + offset).clamp(0, length - 1)
        along = [count if a == 0 else length if a == axis else 1 for a in range(4)]
        x = x.gather(axis, index.reshape(along).expand(x.shape))
    return x * gain + noise


def _save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    training: Training,
    losses: list[float],
) -> None:
    state: dict[str, Any] = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "training": repr(training),
        "losses": losses,
    }
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def _restore(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    training: Training,
) -> list[float]:
    try:
        state = torch.load(path, weights_only=True)
        if state["training"] != repr(training):
            raise ValueError(f"it was trained with {state['training']}, not {training}")
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        return list(state["losses"])
    except (RuntimeError, KeyError, ValueError, OSError, EOFError) as error:
        raise InputError(f"cannot continue from checkpoint {path}: {error}; delete it") from None
