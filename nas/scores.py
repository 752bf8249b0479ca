# SPDX-License-Identifier: Apache-2.0
"""How good the answers of a classifier are: all from the counts of one confusion matrix.

    C[t, p]       samples of class t that were answered p; n_t and a_p are its sums
    recall_c      C[c, c] / n_c              undefined for a class without samples
    precision_c   C[c, c] / a_c              undefined for a class that is never answered
    F1_c          2 C[c, c] / (n_c + a_c)    undefined only where both are: no samples, no answers
    accuracy            sum_c C[c, c] / N
    balanced accuracy   mean recall of the classes that have samples (Brodersen et al. 2010)
    macro-F1            mean of the F1 that are defined (the averaged F1 of Opitz and Burst 2019,
                        arXiv 1911.03347): a class that is never answered counts as 0

These are the definitions of scikit-learn. Undefined is None in JSON. numpy alone, so that whoever
only checks a project needs no torch. A new metric is a function and a line in ``METRICS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """``confusion`` (classes, classes) int64: rows are true classes, columns answers."""

    names: tuple[str, ...]
    confusion: np.ndarray

    @property
    def samples(self) -> int:
        return int(self.confusion.sum())

    @property
    def counts(self) -> np.ndarray:
        """Samples of each class."""
        return self.confusion.sum(axis=1)

    @property
    def recall(self) -> np.ndarray:
        """(classes,) float64, NaN where undefined; so are precision and f1."""
        return _ratio(self.confusion.diagonal(), self.counts)

    @property
    def precision(self) -> np.ndarray:
        return _ratio(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def f1(self) -> np.ndarray:
        return _ratio(2 * self.confusion.diagonal(), self.counts + self.confusion.sum(axis=0))

    def to_json(self) -> dict[str, Any]:
        columns = (self.names, self.counts, self.precision, self.recall, self.f1)
        return {
            "names": list(self.names),
            "confusion": self.confusion.tolist(),
            "per_class": [
                {
                    "name": name,
                    "count": int(count),
                    "precision": _defined(precision),
                    "recall": _defined(recall),
                    "f1": _defined(f1),
                }
                for name, count, precision, recall, f1 in zip(*columns, strict=True)
            ],
            **metric_values(self),
            "samples": self.samples,
        }


def accuracy(scores: Scores) -> float:
    return float(scores.confusion.trace() / scores.samples)


def balanced_accuracy(scores: Scores) -> float:
    return float(np.nanmean(scores.recall))


def macro_f1(scores: Scores) -> float:
    return float(np.nanmean(scores.f1))


@dataclass(frozen=True, slots=True)
class Metric:
    """A number in 0..1 of which more is better, and how tables call it."""

    title: str
    of: Callable[[Scores], float]


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", accuracy),
    "balanced-accuracy": Metric("balanced accuracy", balanced_accuracy),
    "macro-f1": Metric("macro-F1", macro_f1),
}


def metric_key(name: str) -> str:
    """How JSON calls a metric."""
    return name.replace("-", "_")


def metric_values(scores: Scores) -> dict[str, float]:
    """Every metric, by its name in JSON."""
    return {metric_key(name): metric.of(scores) for name, metric in METRICS.items()}


def numbered(classes: int) -> tuple[str, ...]:
    """The names of classes that have none."""
    return tuple(map(str, range(classes)))


def score_answers(labels: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> Scores:
    """Scores of ``answers`` (N,) to samples with ``labels`` (N,), both whole numbers that count
    ``names``; InputError for a label or an answer beyond them."""
    classes = len(names)
    if labels.shape != answers.shape or labels.ndim != 1 or not len(labels):
        raise InputError(
            f"labels {labels.shape} and answers {answers.shape} cannot be scored; expected one "
            "of both for each of one or more samples"
        )
    check_classes("label", labels, classes)
    check_classes("answer", answers, classes)
    places = classes * labels.astype(np.int64) + answers.astype(np.int64)
    counts = np.bincount(places, minlength=classes * classes).astype(np.int64)
    return Scores(tuple(names), counts.reshape(classes, classes))


def check_classes(what: str, numbers: np.ndarray, classes: int) -> None:
    """InputError, saying where, unless all of ``numbers`` (N,) are in 0..classes-1."""
    wrong = np.flatnonzero((numbers < 0) | (numbers >= classes))
    if len(wrong):
        raise InputError(
            f"{what} {numbers[wrong[0]]} of row {wrong[0]} is none of the {classes} classes; "
            f"expected whole numbers from 0 to {classes - 1}"
        )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
