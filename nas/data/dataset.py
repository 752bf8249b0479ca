# SPDX-License-Identifier: Apache-2.0
"""From raw arrays to a Dataset: check, split off validation, find mean and deviation of channels.

A sample is a series (T, C) or an image (H, W, C); the last axis is always the channels.
Mean and standard deviation come from the training part without the validation part and are stored;
a channel that never changes keeps its unit (standard deviation 1). Samples stay as they are: the
network on the device reads them so, and standardises as it quantizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinytailor.nas.data.checks import check_apart, check_labels, check_samples
from tinytailor.nas.data.following import reindexed
from tinytailor.nas.data.signal import (
    LEAST,
    MOST,
    UNKNOWN,
    Signal,
    check_samples_fit,
    check_signal,
    default_lsb,
)
from tinytailor.nas.data.splits import Fold, split_folds, stratified_split, subject_split
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Raw:
    """What a source read: x (N, T, C) or (N, H, W, C), y (N,) labels of any type, ``place`` for
    messages.

    ``signal``: by default one of no known channels. ``protocol``: which split this is, in a
    sentence. ``groups_*`` (N,): the subject, patient or speaker of each row, which ``group`` calls;
    ``by_group``: no group is meant to be in both parts. ``following`` (N,) of the rows of x_train.
    """

    name: str
    place: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    x_valid: np.ndarray | None = None
    y_valid: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    digest: str = ""  # of the arrays of a file, see training_record
    signal: Signal | None = None
    protocol: str = "the parts as given"
    groups_train: np.ndarray | None = None
    groups_valid: np.ndarray | None = None
    groups_test: np.ndarray | None = None
    group: str = "subject"
    by_group: bool = True
    following: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """All that may be trained on: x, y, and where they are known the ``groups`` (N,) and, as row
    numbers, the ``following`` windows (N,), see following.py."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    following: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> TrainingRows:
        """Some of them, as one side of a fold; windows that follow are numbered anew."""
        groups = None if self.groups is None else self.groups[rows]
        return TrainingRows(
            self.x[rows], self.y[rows], groups, reindexed(self.following, np.asarray(rows))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """x_* (N, T, C) or (N, H, W, C) as the source has them, y_* (N,) int64 in 0..classes-1.

    Training reads (x - mean) / std, both (C,) float32. ``labels`` are the source's for each class.
    ``lsb`` (C,) float64 is what one integer step of each channel is worth: of the sensor where
    ``signal`` knows it, else as ``default_lsb`` of all training rows has it. ``protocol``: which
    split this is; ``groups_*``: the subject, patient or speaker of each row, where known.
    ``following_rows``: see ``training_rows``.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    class_names: tuple[str, ...]
    labels: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    lsb: np.ndarray
    digest: str = ""
    place: str = ""
    signal: Signal = UNKNOWN
    protocol: str = "the parts as given"
    groups_train: np.ndarray | None = None
    groups_valid: np.ndarray | None = None
    following_rows: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (T, C) or (H, W, C)."""
        return tuple(map(int, self.x_train.shape[1:]))

    @property
    def following(self) -> np.ndarray | None:
        """(N,) of each row of x_train: the row of x_train that is the next window of the same
        recording and overlaps it by half, or -1."""
        if self.following_rows is None:
            return None
        return reindexed(self.following_rows, np.arange(len(self.x_train)))

    def samples(self, x: np.ndarray) -> np.ndarray:
        """Values as the int16 samples x / lsb that a device has of them; what is beyond are its
        ends."""
        return np.clip(np.rint(x / self.lsb), LEAST, MOST).astype(np.int16)

    def check_samples_fit(self) -> None:
        """InputError naming the first value of any part that is beyond 16 bits in the steps of the
        sensor; without known steps, those chosen hold all values of training."""
        if self.signal.lsb is None:
            return
        for part in ("train", "valid", "test"):
            x = getattr(self, f"x_{part}")
            check_samples_fit(self.place, f"x ({part} part)", x, self.signal.lsb, self.signal)

    def standardised(self, x: np.ndarray) -> np.ndarray:
        """Samples as training reads them, float32."""
        result: np.ndarray = (x.astype(np.float32) - self.mean) / self.std
        return result

    def all_train(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation part together, for the final training."""
        x = np.concatenate([self.x_train, self.x_valid])
        return x, np.concatenate([self.y_train, self.y_valid])

    def training_rows(self) -> TrainingRows:
        """The same rows with their groups and with the row numbers of following windows."""
        return TrainingRows(*self.all_train(), self._groups(), self.following_rows)

    def folds(self, k: int, seed: int) -> list[Fold]:
        """k pairs of row numbers of ``training_rows``, to train on and held out: by group where
        there are any, else by class. InputError where a class would not be trained on."""
        y = np.concatenate([self.y_train, self.y_valid])
        return split_folds(self.place, y, self.class_names, self._groups(), k, seed)

    def _groups(self) -> np.ndarray | None:
        if self.groups_train is None or self.groups_valid is None:
            return None
        return np.concatenate([self.groups_train, self.groups_valid])


def prepare(raw: Raw, seed: int, valid_fraction: float) -> Dataset:
    """The Dataset of what a source read; InputError for data that cannot be learned from."""
    if not 0 < valid_fraction < 1:
        raise InputError(f"the validation fraction must be between 0 and 1, got {valid_fraction}")
    for part, x, y in _parts(raw):
        _check_part(raw, part, x, y)
    signal = _checked_signal(raw)
    _check_groups(raw)
    x_train, y_train, names = _labelled(raw)
    rows = TrainingRows(x_train, y_train, raw.groups_train, raw.following)
    if raw.x_valid is not None and raw.y_valid is not None:
        y_valid = _indices(raw, "y_valid", raw.y_valid, names)
        train, valid = rows, TrainingRows(raw.x_valid, y_valid, raw.groups_valid)
        order = np.arange(len(y_train))
    else:
        held = _held_out(raw, y_train, len(names), seed, valid_fraction)
        train, valid = rows.take(np.flatnonzero(~held)), rows.take(np.flatnonzero(held))
        order = np.concatenate([np.flatnonzero(~held), np.flatnonzero(held)])
    mean, std = _standardization(train.x)
    dataset = Dataset(
        name=raw.name,
        x_train=train.x,
        y_train=train.y,
        x_valid=valid.x,
        y_valid=valid.y,
        x_test=raw.x_test,
        y_test=_indices(raw, "y_test", raw.y_test, names),
        classes=len(names),
        class_names=_class_names(raw, names),
        labels=tuple(map(str, names)),
        mean=mean,
        std=std,
        lsb=default_lsb(train.x, valid.x) if signal.lsb is None else np.array(signal.lsb),
        digest=raw.digest,
        place=raw.place,
        signal=signal,
        protocol=raw.protocol,
        groups_train=train.groups,
        groups_valid=valid.groups,
        following_rows=_following_rows(raw, order, len(train.y) + len(valid.y)),
    )
    dataset.check_samples_fit()
    return dataset


def _standardization(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (C,) float32 of each channel."""
    all_but_channels = tuple(range(x.ndim - 1))
    mean = x.mean(axis=all_but_channels, dtype=np.float64)
    std = x.std(axis=all_but_channels, dtype=np.float64)
    std[std < 1e-8 * np.maximum(np.abs(mean), 1e-30)] = 1.0
    return mean.astype(np.float32), std.astype(np.float32)


def _following_rows(raw: Raw, order: np.ndarray, count: int) -> np.ndarray | None:
    """Of training and validation part together; ``order`` is where the rows of x_train went."""
    if raw.following is None:
        return None
    moved = reindexed(raw.following, order)
    assert moved is not None
    return np.concatenate([moved, np.full(count - len(moved), -1, np.int64)])


def _checked_signal(raw: Raw) -> Signal:
    """Integers of 16 bits are samples, and so their steps are 1; wider ones of a series need steps,
    while of images any that fit will do."""
    x = raw.x_train
    signal = raw.signal or Signal("image" if x.ndim == 4 else "series")
    check_signal(raw.place, signal, x.shape)
    if signal.lsb is None and np.issubdtype(x.dtype, np.integer):
        parts = [x for _, x, _ in _parts(raw)]
        fit = all(int(x.min()) >= LEAST and int(x.max()) <= MOST for x in parts)
        if fit or x.ndim == 3:
            return replace(signal, lsb=(1.0,) * x.shape[-1])
    return signal


def _check_groups(raw: Raw) -> None:
    """InputError where they do not fit the rows, or one is in both parts of a split by group."""
    groups = {"train": raw.groups_train, "valid": raw.groups_valid, "test": raw.groups_test}
    for part, x, _ in _parts(raw):
        values = groups[part]
        if values is not None and values.shape != (len(x),):
            raise InputError(
                f"{raw.place}: array {raw.group} ({part} part) has shape {values.shape}, expected "
                f"({len(x)},): one {raw.group} a sample"
            )
    if raw.by_group and raw.groups_train is not None and raw.groups_test is not None:
        for trained in (raw.groups_train, raw.groups_valid):
            if trained is not None:
                check_apart(raw.place, raw.group, trained, raw.groups_test)


def _parts(raw: Raw) -> list[tuple[str, np.ndarray, np.ndarray]]:
    parts = [("train", raw.x_train, raw.y_train), ("test", raw.x_test, raw.y_test)]
    if raw.x_valid is not None and raw.y_valid is not None:
        parts.insert(1, ("valid", raw.x_valid, raw.y_valid))
    return parts


def _check_part(raw: Raw, part: str, x: np.ndarray, y: np.ndarray) -> None:
    check_samples(raw.place, f"x ({part} part)", x)
    check_labels(raw.place, f"y ({part} part)", y, len(x))
    if x.shape[1:] != raw.x_train.shape[1:]:
        raise InputError(
            f"{raw.place}: the {part} part has samples of shape {x.shape[1:]}, "
            f"the train part {raw.x_train.shape[1:]}; they must be equal"
        )


def _labelled(raw: Raw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    names, indices = np.unique(raw.y_train, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"{raw.place}: array y (train part) holds one class only, {names[0]!r}; "
            "expected 2 or more"
        )
    return raw.x_train, indices.astype(np.int64), names


def _indices(raw: Raw, array: str, y: np.ndarray, names: np.ndarray) -> np.ndarray:
    unknown = np.setdiff1d(y, names)
    if len(unknown):
        raise InputError(
            f"{raw.place}: array {array} holds the label {unknown[0]!s}, of which the train part "
            f"has no series; its classes are {', '.join(map(str, names))}"
        )
    return np.searchsorted(names, y).astype(np.int64)


def _class_names(raw: Raw, labels: np.ndarray) -> tuple[str, ...]:
    if raw.class_names is None:
        return tuple(map(str, labels))
    empty = sorted(set(range(len(raw.class_names))) - set(map(int, labels)))
    if empty or len(raw.class_names) != len(labels):
        named = ", ".join(raw.class_names[i] for i in empty) or "none"
        raise InputError(
            f"{raw.place}: {len(raw.class_names)} classes are named, {len(labels)} occur in the "
            f"train part (without any series: {named}); expected at least one series of each"
        )
    return raw.class_names


def _held_out(raw: Raw, y: np.ndarray, classes: int, seed: int, fraction: float) -> np.ndarray:
    """Mask of the series that become the validation part."""
    rng = np.random.default_rng(seed)
    if raw.groups_train is not None:
        held = subject_split(raw.groups_train, fraction, rng)
        lost = sorted(set(range(classes)) - set(map(int, y[~held])))
        if not lost and held.any():
            return held
    return stratified_split(raw.place, y, fraction, rng)
