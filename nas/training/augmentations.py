# SPDX-License-Identifier: Apache-2.0
"""What a training does to samples before a network sees them, in the units of the data.

    Shifted      a window cut later, out of itself and the window that follows it in the recording
    Moved        a shift with repeated borders, along time or along both sides of an image
    Warped       time stretched or shortened about the middle, linearly interpolated
    Rotated      all triads of a sensor turned by one random rotation (Um et al. 2017, 1706.00527)
    Livelier     what changes within a window, times a gain; its mean, such as gravity, stays
    Scaled       the whole sample times a gain
    Wandering    a slow sine added to every channel, as the base line of an electrocardiogram
    Jittered     noise
    Masked       a run of rows or columns set to the mean (SpecAugment, Park et al., 1904.08779)
    Mirrored     images left to right

Samples are (N, T, C) or (N, H, W, C). All chance comes from the generator that is passed. Another
one is a record here and a line in ``AUGMENTATIONS``; recipes name them, in order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What is known of the samples of a batch: ``following`` (N, T, C), the windows half a window
    later, and ``follows`` (N,), where there is one; ``mean`` and ``std`` (C,) of the channels."""

    mean: Tensor
    std: Tensor
    triads: Groups = ()
    dynamic: Groups = ()
    following: Tensor | None = None
    follows: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A record whose fields a recipe sets; (N, ...) to (N, ...)."""

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        raise NotImplementedError


def normal(count: int, generator: Generator) -> Tensor:
    return torch.randn(count, generator=generator)


def each(values: Tensor, x: Tensor) -> Tensor:
    """One number a sample, to broadcast over ``x``."""
    return values.reshape(-1, *(1 for _ in x.shape[1:]))


@dataclass(frozen=True, slots=True)
class Shifted(Augmentation):
    """By up to ``most`` of a window, where another follows by half a window."""

    most: float = 0.5

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        length = x.shape[1]
        reach = min(int(self.most * length), length // 2)
        offset = torch.randint(0, reach + 1, (len(x), 1), generator=generator)
        if batch.following is None or batch.follows is None:
            return x
        whole = torch.cat([x, batch.following[:, -(length // 2) :]], 1)
        index = torch.arange(length) + offset * batch.follows[:, None]
        return whole.gather(1, index[:, :, None].expand_as(x))


@dataclass(frozen=True, slots=True)
class Moved(Augmentation):
    """By up to ``most`` of the length; ``axes`` count from 1, behind that of the samples."""

    most: float = 0.05
    axes: int = 1

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        for axis in range(1, self.axes + 1):
            length = x.shape[axis]
            reach = int(self.most * length)
            offset = torch.randint(-reach, reach + 1, (len(x), 1), generator=generator)
            index = (torch.arange(length) + offset).clamp(0, length - 1)
            along = [len(x) if a == 0 else length if a == axis else 1 for a in range(x.ndim)]
            x = x.gather(axis, index.reshape(along).expand(x.shape))
        return x


@dataclass(frozen=True, slots=True)
class Warped(Augmentation):
    """By up to ``most``, evenly."""

    most: float = 0.1

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        length = x.shape[1]
        factor = 1 + self.most * (2 * torch.rand((len(x), 1), generator=generator) - 1)
        middle = (length - 1) / 2
        place = ((torch.arange(length) - middle) * factor + middle).clamp(0, length - 1)
        before = place.floor().long().clamp(max=max(length - 2, 0))
        share = (place - before)[:, :, None]
        index = before[:, :, None].expand_as(x)
        low, high = x.gather(1, index), x.gather(1, (index + 1).clamp(max=length - 1))
        return low + share * (high - low)


@dataclass(frozen=True, slots=True)
class Rotated(Augmentation):
    """About a random axis by an angle of deviation ``degrees``; a triad is x, y, z of a sensor."""

    degrees: float = 10.0

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        axis = torch.randn((len(x), 3), generator=generator)
        axis = axis / axis.norm(dim=1, keepdim=True).clamp(min=1e-6)
        angle = math.radians(self.degrees) * normal(len(x), generator)
        if not batch.triads:
            return x
        turn = rotation(axis, angle)
        x = x.clone()
        for triad in batch.triads:
            x[:, :, list(triad)] = x[:, :, list(triad)] @ turn
        return x


def rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Matrices (N, 3, 3) of rotations about unit vectors (N, 3): Rodrigues' formula."""
    zero = torch.zeros_like(angle)
    a, b, c = axis.unbind(1)
    cross = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero], 1).reshape(-1, 3, 3)
    sine, cosine = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)


@dataclass(frozen=True, slots=True)
class Livelier(Augmentation):
    """By a factor exp(N(0, deviation)) for each of the dynamic groups of channels."""

    deviation: float = 0.15

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        gains = [torch.exp(self.deviation * normal(len(x), generator)) for _ in batch.dynamic]
        if not batch.dynamic:
            return x
        x = x.clone()
        for gain, group in zip(gains, batch.dynamic, strict=True):
            part = x[:, :, list(group)]
            mean = part.mean(1, keepdim=True)
            x[:, :, list(group)] = mean + each(gain, x) * (part - mean)
        return x


@dataclass(frozen=True, slots=True)
class Scaled(Augmentation):
    """About the mean of each channel by 1 + N(0, deviation)."""

    deviation: float = 0.1

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        gain = 1 + self.deviation * normal(len(x), generator)
        return batch.mean + each(gain, x) * (x - batch.mean)


@dataclass(frozen=True, slots=True)
class Wandering(Augmentation):
    """Of at most ``periods`` within a window and a size of ``deviation`` standard deviations."""

    deviation: float = 0.1
    periods: float = 1.0

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        count, length, channels = x.shape
        chance = torch.rand((count, 2), generator=generator)
        size = self.deviation * torch.randn((count, channels), generator=generator) * batch.std
        time = torch.arange(length) / length
        phase = 2 * math.pi * (self.periods * chance[:, :1] * time + chance[:, 1:])
        return x + torch.sin(phase)[:, :, None] * size[:, None, :]


@dataclass(frozen=True, slots=True)
class Jittered(Augmentation):
    """Of ``deviation`` standard deviations of the channel."""

    deviation: float = 0.05

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        return x + self.deviation * batch.std * torch.randn(x.shape, generator=generator)


@dataclass(frozen=True, slots=True)
class Masked(Augmentation):
    """``runs`` runs along ``axis``, each of up to ``most`` of the length."""

    axis: int = 1
    most: float = 0.15
    runs: int = 1

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        length = x.shape[self.axis]
        place = torch.arange(length)
        for _ in range(self.runs):
            chance = torch.rand((2, len(x), 1), generator=generator)
            size = (chance[0] * self.most * length).floor()
            start = (chance[1] * (length - size + 1)).floor()
            hidden = (place >= start) & (place < start + size)
            along = [len(x) if a == 0 else length if a == self.axis else 1 for a in range(x.ndim)]
            x = torch.where(hidden.reshape(along), batch.mean, x)
        return x


@dataclass(frozen=True, slots=True)
class Mirrored(Augmentation):
    """Each with probability ``odds``."""

    odds: float = 0.5

    def __call__(self, x: Tensor, batch: Batch, generator: Generator) -> Tensor:
        turned = torch.rand(len(x), generator=generator) < self.odds
        return torch.where(each(turned, x), x.flip(2), x)


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "shifted": Shifted,
    "moved": Moved,
    "warped": Warped,
    "rotated": Rotated,
    "livelier": Livelier,
    "scaled": Scaled,
    "wandering": Wandering,
    "jittered": Jittered,
    "masked": Masked,
    "mirrored": Mirrored,
}
