# SPDX-License-Identifier: Apache-2.0
"""How unequal the classes of a data set are, and what knowing nothing but that is worth.

A network that always answers the largest class of the training part is the baseline: its accuracy
is that class's share of the test part, its balanced accuracy 1 / classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.nas.data.dataset import Dataset
from tinytailor.nas.scores import Scores, metric_values, score_answers

MOST_TIMES = 3  # the largest class may be of the smallest before accuracy alone misleads
HINT = (
    "the classes are unbalanced: --metric balanced-accuracy or macro-f1 counts each the same, "
    "--class-weights balanced trains so"
)


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """Training samples of each class, and the ``scores`` on the test part of always answering the
    largest of them."""

    names: tuple[str, ...]
    counts: np.ndarray
    scores: Scores

    @property
    def unbalanced(self) -> bool:
        return int(self.counts.max()) > MOST_TIMES * int(self.counts.min())

    @property
    def largest(self) -> int:
        return int(self.counts.argmax())

    def hint(self, metric: str, weights: str) -> str | None:
        """What to consider where the classes are unbalanced and nothing was chosen for that."""
        return HINT if self.unbalanced and (metric, weights) == ("accuracy", "none") else None

    def to_json(self) -> dict[str, Any]:
        return {
            "unbalanced": self.unbalanced,
            "training_counts": self.counts.tolist(),
            "largest": self.names[self.largest],
            "largest_share": float(self.counts.max() / self.counts.sum()),
            "always_largest": metric_values(self.scores),
            "text": self.text,
        }

    @property
    def text(self) -> str:
        """Half a sentence: largest class, smallest class, and the accuracy of the baseline."""
        shares = self.counts / self.counts.sum()
        names, smallest = self.names, int(self.counts.argmin())
        always = metric_values(self.scores)["accuracy"]
        return (
            f"largest class {names[self.largest]!r} {shares[self.largest]:.1%}, smallest "
            f"{names[smallest]!r} {shares[smallest]:.1%} of the training part: a network that "
            f"always says {names[self.largest]!r} scores {always:.1%} on the test part"
        ).replace("%", " %")


def balance(dataset: Dataset) -> Balance:
    """Of all that the final network is trained on, the validation part included."""
    _, labels = dataset.all_train()
    counts = np.bincount(labels, minlength=dataset.classes)
    always = np.full_like(dataset.y_test, counts.argmax())
    scores = score_answers(dataset.y_test, always, dataset.class_names)
    return Balance(dataset.class_names, counts, scores)
