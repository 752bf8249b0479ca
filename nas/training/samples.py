# SPDX-License-Identifier: Apache-2.0
"""Samples of a data set and how they become what a network reads.

    x (N, T, C) or (N, H, W, C), in the units of the data
      -- augmentations --> the same --  (x - offset) / step  --> (N, channels, H, W) of the network

The last step is a change of units and of the order of axes: a network's input (1, H, W, channels)
holds the numbers of a sample in the order in which the data have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor, nn

from tinytailor.compiler.training_record import digest_of
from tinytailor.nas.data.dataset import Dataset, TrainingRows
from tinytailor.nas.data.following import reindexed
from tinytailor.nas.training.augmentations import Augmentation, Batch, Groups
from tinytailor.nas.training.front_end import FrontEnd, front_end

InputShape = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """``x`` float32 and ``y`` (N,) int64; ``offset`` and ``step`` (C,) of what the network reads;
    ``following`` (N,): the row of the window half a window later, -1 where there is none."""

    x: Tensor
    y: Tensor
    input_shape: InputShape
    offset: Tensor
    step: Tensor
    mean: Tensor
    std: Tensor
    triads: Groups = ()
    dynamic: Groups = ()
    following: Tensor | None = None
    front: FrontEnd | None = None

    @property
    def digest(self) -> str:
        """Of the numbers and their labels."""
        return digest_of([self.x.numpy(), self.y.numpy()])

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, rows: np.ndarray) -> Samples:
        """Some of them; what follows is kept where it is among them."""
        index = torch.from_numpy(rows)
        following = None
        if self.following is not None:
            following = torch.from_numpy(reindexed(self.following.numpy(), rows))
        return replace(self, x=self.x[index], y=self.y[index], following=following)

    def prepare(self, network: nn.Module) -> None:
        """Set what of a network the data decide and no training changes."""
        if self.front is not None:
            self.front.fill(network)

    def read(self, x: Tensor) -> Tensor:
        """Samples as the network reads them."""
        placed = ((x - self.offset) / self.step).reshape(len(x), *self.input_shape)
        return placed.permute(0, 3, 1, 2)

    def inputs(self) -> Tensor:
        """All of them, as they are."""
        return self.read(self.x)

    def batch(self, rows: Tensor, augment: Sequence[Augmentation], generator: Generator) -> Tensor:
        """Some of them, augmented."""
        x, following, follows = self.x[rows], None, None
        if self.following is not None:
            after = self.following[rows]
            following, follows = self.x[after.clamp(min=0)], (after >= 0).long()
        known = Batch(self.mean, self.std, self.triads, self.dynamic, following, follows)
        for one in augment:
            x = one(x, known, generator)
        return self.read(x)


def training_samples(dataset: Dataset, input_shape: InputShape, sampled: bool) -> Samples:
    """All that may be trained on, training and validation part, for networks of this input;
    ``sampled``: they read samples, in steps of the sensor, and not standardised numbers."""
    rows = dataset.training_rows()
    following = None if rows.following is None else torch.from_numpy(rows.following)
    samples = replace(_samples(dataset, rows, input_shape), following=following)
    if not sampled:
        return samples
    front = front_end(dataset.samples(dataset.x_train))
    return replace(_sensed(dataset, samples), front=front)


def test_samples(dataset: Dataset, input_shape: InputShape, sampled: bool) -> Samples:
    """The test part."""
    rows = TrainingRows(dataset.x_test, dataset.y_test)
    samples = _samples(dataset, rows, input_shape)
    return _sensed(dataset, samples) if sampled else samples


def _sensed(dataset: Dataset, samples: Samples) -> Samples:
    """As numbers of steps of the sensor."""
    lsb = torch.from_numpy(dataset.lsb).float()
    return replace(samples, offset=torch.zeros_like(lsb), step=lsb)


def standard_samples(x: Tensor, y: Tensor) -> Samples:
    """Of maps (N, H, W, C) that a network reads as they are."""
    zeros, ones = torch.zeros(x.shape[3]), torch.ones(x.shape[3])
    shape = (int(x.shape[1]), int(x.shape[2]), int(x.shape[3]))
    return Samples(x, y, shape, zeros, ones, zeros, ones)


def _samples(dataset: Dataset, rows: TrainingRows, input_shape: InputShape) -> Samples:
    mean, std = torch.from_numpy(dataset.mean), torch.from_numpy(dataset.std)
    return Samples(
        x=torch.from_numpy(rows.x.astype(np.float32)),
        y=torch.from_numpy(rows.y),
        input_shape=input_shape,
        offset=mean,
        step=std,
        mean=mean,
        std=std,
        triads=dataset.signal.triads,
        dynamic=dataset.signal.dynamic,
    )
