# SPDX-License-Identifier: Apache-2.0
"""A data set of one's own: an .npz file of samples x, labels y, and what more is known.

    split (N,)       train, valid or test          kind        what the signal is, see signal.RANKS
    subject (N,)     who each row is of            lsb         what an integer step is worth, one
                                                               number or one a channel
                                                   rate        samples in a second
                                                   channels    names (C,)

Without split, whole subjects are tested, or without these a part of each class: by chance, but the
same for a seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinytailor.compiler.training_record import digest_of
from tinytailor.nas.data.checks import check_labels, check_samples
from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.following import half_overlaps, reindexed
from tinytailor.nas.data.signal import RANKS, Signal, check_signal, inertial
from tinytailor.nas.data.sources.files import BY_CLASS, SPLITS, TEST_FRACTION, known_arrays
from tinytailor.nas.data.splits import stratified_split, subject_split
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

COLUMNS = ("x", "y", "split", "subject", "kind", "lsb", "rate", "channels")


def from_npz(name: str, seed: int) -> Raw:
    """``name`` is the file."""
    arrays = known_arrays(Path(name))
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        problem = f"{name} has no array {' and no array '.join(missing)}"
        raise no_such(problem, missing[0], tuple(arrays), label="it has")
    x, y = arrays["x"], text_of(arrays["y"])
    check_samples(name, "x", x)
    check_labels(name, "y", y, len(x))
    signal = signal_of(name, arrays, x.shape)
    split = split_of(name, arrays, seed)
    subjects = _subjects(name, arrays, len(x))
    following = half_overlaps(x, subjects, y)
    train, valid, test = (split == part for part in SPLITS)
    for part, mask in (("train", train), ("test", test)):
        if not mask.any():
            raise InputError(f"{name}: array split has no {part!r} series, expected some")
    own_valid = bool(valid.any())
    groups = [None if subjects is None else subjects[rows] for rows in (train, valid, test)]
    return Raw(
        Path(name).stem,
        name,
        x[train],
        y[train],
        x[test],
        y[test],
        x[valid] if own_valid else None,
        y[valid] if own_valid else None,
        digest=digest_of_file(arrays),
        signal=signal,
        protocol=_protocol(arrays, subjects, test, following),
        groups_train=groups[0],
        groups_valid=groups[1] if own_valid else None,
        groups_test=groups[2],
        following=reindexed(following, np.flatnonzero(train)),
    )


def digest_of_file(arrays: Mapping[str, np.ndarray]) -> str:
    """Of all that a search takes from an .npz file, however it is stored."""
    taken = {**arrays, "y": text_of(arrays["y"])}
    return digest_of([taken[key] for key in COLUMNS if key in taken])


def split_of(name: str, arrays: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """The part of each row, (N,) strings: what array split says, else a part of the subjects is the
    test part, else a part of each class; by chance, but the same for a seed."""
    y = text_of(arrays["y"])
    split = _column(name, "split", arrays, len(y))
    if split is None:
        rng = np.random.default_rng(seed)
        subjects = _subjects(name, arrays, len(y))
        if subjects is not None:
            test = subject_split(subjects, TEST_FRACTION, rng)
        else:
            test = stratified_split(name, y, TEST_FRACTION, rng)
        return np.where(test, "test", "train")
    unknown = np.setdiff1d(split, SPLITS)
    if len(unknown):
        word = str(unknown[0])
        raise no_such(f"{name}: array split holds {word!r}", word, SPLITS, label="it can hold")
    return split


def text_of(labels: np.ndarray) -> np.ndarray:
    """Labels that are bytes as text."""
    return np.char.decode(labels, "utf-8", "replace") if labels.dtype.kind == "S" else labels


def signal_of(name: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Signal:
    """What arrays kind, lsb, rate and channels say of samples of this shape."""
    kind = _text(name, "kind", arrays, "")
    if len(kind) > 1:
        raise InputError(
            f"{name}: array kind holds {len(kind)} words, expected one of {', '.join(RANKS)}"
        )
    rate, lsb = _numbers(name, "rate", arrays), _numbers(name, "lsb", arrays)
    if rate is not None and len(rate) > 1:
        raise InputError(f"{name}: array rate holds {len(rate)} numbers, expected one")
    if lsb is not None and len(lsb) == 1:
        lsb = lsb * shape[-1]
    channels = _text(name, "channels", arrays, "names, one a channel")
    if len(set(channels)) < len(channels):
        twice = next(one for one in channels if channels.count(one) > 1)
        raise InputError(f"{name}: array channels has {twice!r} twice, expected different names")
    word = kind[0] if kind else "image" if len(shape) == 4 else "series"
    rate_hz = None if rate is None else rate[0]
    if word == "inertial":
        signal = inertial(channels, lsb=lsb, rate_hz=rate_hz)
    else:
        signal = Signal(word, channels, lsb=lsb, rate_hz=rate_hz)
    check_signal(name, signal, shape)
    return signal


def _text(name: str, key: str, arrays: Mapping[str, np.ndarray], expected: str) -> tuple[str, ...]:
    if key not in arrays:
        return ()
    array = text_of(arrays[key])
    if array.dtype.kind != "U" or array.ndim > 1 or not array.size:
        wanted = expected or f"one of {', '.join(RANKS)}"
        raise InputError(
            f"{name}: array {key} is {array.dtype} of shape {array.shape}, expected text: {wanted}"
        )
    return tuple(map(str, array.ravel()))


def _numbers(name: str, key: str, arrays: Mapping[str, np.ndarray]) -> tuple[float, ...] | None:
    if key not in arrays:
        return None
    array = arrays[key]
    if array.dtype.kind not in "iuf" or array.ndim > 1 or not array.size:
        raise InputError(
            f"{name}: array {key} is {array.dtype} of shape {array.shape}, expected a number"
            + (", or one a channel" if key == "lsb" else "")
        )
    return tuple(map(float, array.ravel()))


def _protocol(
    arrays: Mapping[str, np.ndarray],
    subjects: np.ndarray | None,
    test: np.ndarray,
    following: np.ndarray | None,
) -> str:
    if "split" in arrays:
        said = "the file's own parts, array split"
        return said if subjects is None else f"{said}, which are by subject"
    if subjects is not None:
        tested, people = len(np.unique(subjects[test])), len(np.unique(subjects))
        return f"a seeded split by subject, {tested} of {people} to test"
    return BY_CLASS if following is None else f"{BY_CLASS}; windows that overlap are in both parts"


def _subjects(name: str, arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    """Who each row is of; None also if all are of one, which no split can be by."""
    subjects = _column(name, "subject", arrays, count)
    return None if subjects is None or len(np.unique(subjects)) < 2 else subjects


def _column(name: str, key: str, arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    if key not in arrays:
        return None
    column = arrays[key]
    if column.shape != (count,):
        raise InputError(f"{name}: array {key} has shape {column.shape}, expected ({count},)")
    return column
