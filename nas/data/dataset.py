# SPDX-License-Identifier: Apache-2.0
"""From raw arrays to a Dataset: check, split off validation, find mean and deviation of channels.

A sample is a series (T, C) or an image (H, W, C); the last axis is always the channels.
Mean and standard deviation come from the training part without the validation part and are stored;
a channel that never changes keeps its unit (standard deviation 1). Samples stay as they are: the
network on the device reads them so, and standardises as it quantizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Raw:
    """What a source read: x (N, T, C) or (N, H, W, C), y (N,) labels of any type, ``place`` for
    messages."""

    name: str
    place: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    x_valid: np.ndarray | None = None
    y_valid: np.ndarray | None = None
    subjects: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    digest: str = ""  # of the arrays of a file, see training_record


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """x_* (N, T, C) or (N, H, W, C) as the source has them, y_* (N,) int64 in 0..classes-1.

    Training reads (x - mean) / std, both (C,) float32. ``labels`` are the source's for each class.
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
    digest: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (T, C) or (H, W, C)."""
        return tuple(map(int, self.x_train.shape[1:]))

    def standardised(self, x: np.ndarray) -> np.ndarray:
        """Samples as training reads them, float32."""
        result: np.ndarray = (x.astype(np.float32) - self.mean) / self.std
        return result

    def all_train(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation part together, for the final training."""
        x = np.concatenate([self.x_train, self.x_valid])
        return x, np.concatenate([self.y_train, self.y_valid])


def prepare(raw: Raw, seed: int, valid_fraction: float) -> Dataset:
    if not 0 < valid_fraction < 1:
        raise InputError(f"the validation fraction must be between 0 and 1, got {valid_fraction}")
    for part, x, y in _parts(raw):
        _check_part(raw, part, x, y)
    x_train, y_train, names = _labelled(raw)
    if raw.x_valid is not None and raw.y_valid is not None:
        x_valid, y_valid = raw.x_valid, _indices(raw, "y_valid", raw.y_valid, names)
    else:
        held = _held_out(raw, y_train, len(names), seed, valid_fraction)
        x_valid, y_valid = x_train[held], y_train[held]
        x_train, y_train = x_train[~held], y_train[~held]
    all_but_channels = tuple(range(x_train.ndim - 1))
    mean = x_train.mean(axis=all_but_channels, dtype=np.float64)
    std = x_train.std(axis=all_but_channels, dtype=np.float64)
    std[std < 1e-8 * np.maximum(np.abs(mean), 1e-30)] = 1.0
    return Dataset(
        name=raw.name,
        x_train=x_train,
        y_train=y_train,
        x_valid=x_valid,
        y_valid=y_valid,
        x_test=raw.x_test,
        y_test=_indices(raw, "y_test", raw.y_test, names),
        classes=len(names),
        class_names=_class_names(raw, names),
        labels=tuple(map(str, names)),
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        digest=raw.digest,
    )


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


AXES = {3: "series, time, channel", 4: "image, row, column, channel"}


def check_samples(place: str, array: str, x: np.ndarray) -> None:
    """InputError unless ``x`` is a non-empty, finite, numeric (N, T, C) or (N, H, W, C)."""
    if x.ndim not in AXES:
        raise InputError(
            f"{place}: array {array} has rank {x.ndim} (shape {x.shape}), expected rank 3: "
            "(series, time, channels), or 4: (images, height, width, channels); a single channel "
            "still needs its axis"
        )
    if 0 in x.shape:
        raise InputError(f"{place}: array {array} is empty, its shape is {x.shape}")
    if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
        raise InputError(f"{place}: array {array} has type {x.dtype}, expected real numbers")
    finite = np.isfinite(x)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{place}: array {array} holds {x[first]} at [{AXES[x.ndim]}] = {list(first)} "
            f"and is not finite in {int((~finite).sum())} places; expected finite numbers, "
            "fill or drop them first"
        )


def check_labels(place: str, array: str, y: np.ndarray, count: int) -> None:
    if y.ndim != 1 or len(y) != count:
        raise InputError(
            f"{place}: array {array} has shape {y.shape}, expected ({count},): one label a sample"
        )
    if not (np.issubdtype(y.dtype, np.integer) or y.dtype.kind in "US"):
        raise InputError(f"{place}: array {array} has type {y.dtype}, expected integers or strings")


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
    if raw.subjects is not None:
        held = subject_split(raw.subjects, fraction, rng)
        lost = sorted(set(range(classes)) - set(map(int, y[~held])))
        if not lost and held.any():
            return held
    return stratified_split(raw.place, y, fraction, rng)


def subject_split(subjects: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Mask of about ``fraction`` of the subjects, at least one if there are two."""
    names = rng.permutation(np.unique(subjects))
    count = min(max(int(fraction * len(names) + 0.5), 1), len(names) - 1)
    return np.isin(subjects, names[:count])


def stratified_split(
    place: str, y: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Mask of about ``fraction`` of each class; every class keeps one series on either side."""
    held = np.zeros(len(y), bool)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        if len(members) < 2:
            raise InputError(
                f"{place}: class number {label} has one series, expected 2 or more: one to learn "
                "from and one to hold out"
            )
        count = min(max(int(fraction * len(members) + 0.5), 1), len(members) - 1)
        held[members[:count]] = True
    return held
