# SPDX-License-Identifier: Apache-2.0
"""Scores of a classifier against cases worked out by hand, and how unbalanced classes are told."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tinytailor.nas.data.balance import balance
from tinytailor.nas.data.dataset import Raw, prepare
from tinytailor.nas.scores import METRICS, metric_values, score_answers
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]

NAMES = ("walk", "run", "fall")


def test_every_number_of_a_case_worked_out_by_hand() -> None:
    """A fall is never answered: its precision is undefined, its F1 counts as 0."""
    labels, answers = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 0, 1, 0, 1])
    found = score_answers(labels, answers, NAMES).to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["confusion"] == [[3, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert found["samples"] == 7
    assert found["names"] == list(NAMES)
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((3 / 4 + 2 / 5 + 0) / 3)
    columns = ("name", "count", "precision", "recall", "f1")
    assert [tuple(one[key] for key in columns) for one in found["per_class"]] == [
        ("walk", 4, 3 / 4, 3 / 4, 3 / 4),
        ("run", 2, pytest.approx(1 / 3), 1 / 2, pytest.approx(2 / 5)),
        ("fall", 1, None, 0.0, 0.0),
    ]


def test_a_class_without_samples_counts_only_where_it_is_answered() -> None:
    labels = np.array([0, 0, 1, 1])
    right = score_answers(labels, labels, NAMES)
    assert metric_values(right) == {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0}
    assert right.to_json()["per_class"][2] == {
        **{"name": "fall", "count": 0, "precision": None, "recall": None, "f1": None}
    }
    alarm = score_answers(labels, np.array([0, 0, 1, 2]), NAMES)
    fall = alarm.to_json()["per_class"][2]
    assert (fall["precision"], fall["recall"], fall["f1"]) == (0.0, None, 0.0)
    assert metric_values(alarm)["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert metric_values(alarm)["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_they_are_those_of_scikit_learn() -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.choice(5, 30, p=(0.6, 0.2, 0.1, 0.1, 0))  # the last class has no samples
        answers = np.where(rng.random(30) < 0.5, labels, rng.integers(0, 4, 30))
        ours, places = score_answers(labels, answers, "abcde"), range(5)
        confusion = theirs.confusion_matrix(labels, answers, labels=places)
        np.testing.assert_array_equal(ours.confusion, confusion)
        columns = theirs.precision_recall_fscore_support(
            labels, answers, labels=places, zero_division=np.nan
        )
        mine = (ours.precision, ours.recall, ours.f1, ours.counts)
        np.testing.assert_allclose(np.array(mine), np.array(columns))
        assert metric_values(ours) == {
            "accuracy": pytest.approx(theirs.accuracy_score(labels, answers)),
            "balanced_accuracy": pytest.approx(theirs.balanced_accuracy_score(labels, answers)),
            "macro_f1": pytest.approx(theirs.f1_score(labels, answers, average="macro")),
        }


def test_metrics_rank_answers_to_unbalanced_classes_differently() -> None:
    """Nine walk, one falls: always "walk" beats one that finds the fall and errs twice elsewhere,
    by accuracy alone."""
    labels = np.array([0] * 9 + [1])
    always = score_answers(labels, np.zeros(10, int), ("walk", "fall"))
    finds = score_answers(labels, np.array([1, 1] + [0] * 7 + [1]), ("walk", "fall"))
    better = {name: metric.of(finds) > metric.of(always) for name, metric in METRICS.items()}
    assert better == {"accuracy": False, "balanced-accuracy": True, "macro-f1": True}


@pytest.mark.parametrize(
    ("labels", "answers", "sentence"),
    [
        ([0, 3], [0, 0], "label 3 of row 1 is none of the 3 classes; expected .* from 0 to 2"),
        ([0, -1], [0, 0], "label -1 of row 1 is none of the 3 classes"),
        ([0, 1], [0, 7], "answer 7 of row 1 is none of the 3 classes"),
        ([0, 1], [0], r"labels \(2,\) and answers \(1,\) cannot be scored"),
        ([], [], "expected one of both for each of one or more samples"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels, answers, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        score_answers(np.array(labels, int), np.array(answers, int), NAMES)


def data(counts: tuple[int, ...], test: tuple[int, ...]):
    """Series of so many samples of each class in either part."""
    y_train, y_test = (np.repeat(np.arange(3), many) for many in (counts, test))
    x_train, x_test = (np.arange(4.0 * len(y)).reshape(-1, 4, 1) for y in (y_train, y_test))
    raw = Raw("d", "d", x_train, y_train, x_test, y_test, class_names=NAMES)
    return prepare(raw, 0, 0.25)


def test_the_baseline_always_answers_the_largest_class_of_the_training_part() -> None:
    found = balance(data(counts=(12, 40, 8), test=(6, 3, 1)))
    assert found.unbalanced
    assert found.to_json() == {
        "unbalanced": True,
        "training_counts": [12, 40, 8],
        "largest": "run",
        "largest_share": pytest.approx(40 / 60),
        "always_largest": {
            "accuracy": pytest.approx(0.3),
            "balanced_accuracy": pytest.approx(1 / 3),
            "macro_f1": pytest.approx(2 * 3 / (3 + 10) / 3),
        },
        "text": "largest class 'run' 66.7 %, smallest 'fall' 13.3 % of the training part: a "
        "network that always says 'run' scores 30.0 % on the test part",
    }


def test_only_unbalanced_classes_for_which_nothing_was_chosen_are_hinted_at() -> None:
    equal, unequal = (balance(data(counts, (1, 1, 1))) for counts in ((24, 8, 8), (25, 8, 8)))
    assert equal.hint("accuracy", "none") is None
    assert "--metric balanced-accuracy" in str(unequal.hint("accuracy", "none"))
    assert unequal.hint("macro-f1", "none") is None
    assert unequal.hint("accuracy", "balanced") is None
