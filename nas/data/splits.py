# SPDX-License-Identifier: Apache-2.0
"""Training rows and held out ones: by group (subject, patient, speaker), or by class.

Folds: every row is held out in one of k folds, and no group is on both sides of one. Groups, in an
order by chance, go one by one to the fold that leaves the counts of the classes most even: with
n(f, c) rows of class c in fold f, of N(c) in all, to the one of least

    sum over f, c of (n(f, c) / N(c))^2 + (rows of f / rows)^2
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytailor.targets.errors import InputError

TRIES = 32  # orders of the groups; the first in which every fold holds out every class is taken

Fold = tuple[np.ndarray, np.ndarray]


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


def split_folds(
    place: str,
    y: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray | None,
    k: int,
    seed: int,
) -> list[Fold]:
    """k times the rows to train on and those held out, in order; ``y`` are indices into ``names``.

    Every class is trained on in every fold, and held out in every one if it has rows in k groups
    (or, without groups, k rows) and a way is found. InputError where it cannot be.
    """
    rows_or_groups = len(y) if groups is None else len(np.unique(groups))
    what = "training rows" if groups is None else "groups in the training part"
    if not 2 <= k <= rows_or_groups:
        raise InputError(
            f"{place}: {k} folds of {rows_or_groups} {what}; expected 2 to {rows_or_groups} folds"
        )
    rng = np.random.default_rng(seed)
    fold = _by_class(y, k, rng) if groups is None else _by_group(y, groups, k, rng)
    for index in range(k):
        missing = np.setdiff1d(np.arange(len(names)), y[fold != index])
        if len(missing):
            one = "row" if groups is None else "group"
            raise InputError(
                f"{place}: class {names[missing[0]]!r} would not be trained on in fold {index + 1} "
                f"of {k}: expected it in two or more {one}s that can be apart; use fewer folds, or "
                f"add {one}s"
            )
    return [(np.flatnonzero(fold != index), np.flatnonzero(fold == index)) for index in range(k)]


def _by_class(y: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each row: those of a class are dealt, each class beginning where the last one
    ended, so that folds are of equal size to a row."""
    shuffled = rng.permutation(len(y))
    order = shuffled[np.argsort(y[shuffled], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % k
    return fold


def _by_group(y: np.ndarray, groups: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    names, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(y.max()) + 1))
    np.add.at(counts, (member, y), 1)
    best, least = np.zeros(len(names), np.int64), np.inf
    for _ in range(TRIES):
        fold, badness = _dealt(counts, k, rng)
        if badness < least:
            best, least = fold, badness
        if badness < 1:
            break
    return best[member]


def _dealt(counts: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The fold of each group, of which ``counts`` (groups, classes) are the rows, and how bad that
    is: by far what no fold may lack, then the classes that are not held out in some fold, and less
    than 1 for counts that are not even."""
    total = counts.sum(axis=0)
    total[total == 0] = 1
    share = np.concatenate([counts / total, counts.sum(axis=1, keepdims=True) / counts.sum()], 1)
    # Groups with a large share of some class come first, while there is a choice; ties by chance.
    order = rng.permutation(len(counts))
    noise = rng.uniform(0.5, 1.0, len(counts))
    order = order[np.argsort(-(share.max(axis=1) * noise)[order], kind="stable")]
    fold, held = np.empty(len(counts), np.int64), np.zeros((k, share.shape[1]))
    for group in order:
        # What the sum of squares grows by, up to what is the same for all folds.
        fold[group] = int((held @ share[group]).argmin())
        held[fold[group]] += share[group]
    classes = held[:, :-1][:, counts.sum(axis=0) > 0]
    untrained = int((classes > 1 - 1e-9).sum())
    uneven = float(classes.std(axis=0).mean())  # at most 1/2
    return fold, 1e6 * untrained + int((classes == 0).sum()) + uneven
