# SPDX-License-Identifier: Apache-2.0
"""Tables of scores: a matrix of few classes, the largest confusions of many."""

from __future__ import annotations

import numpy as np
import pytest

from tinytailor.cli.scores import MOST_IN_MATRIX, checked_sections, class_section
from tinytailor.nas.scores import score_answers

pytestmark = [pytest.mark.pure]


def test_few_classes_are_shown_as_a_matrix_with_names_at_both_sides() -> None:
    scores = score_answers(np.array([0, 0, 1]), np.array([0, 1, 1]), ("yes", "no")).to_json()
    (matrix,) = checked_sections(scores)
    assert matrix.columns == ("", "yes", "no")
    assert matrix.rows == [("yes", "1", "1"), ("no", "0", "1")]


def test_long_names_are_numbered_above_the_columns() -> None:
    names = [f"{room}: somebody opens the window" for room in ("kitchen", "hall")]
    scores = score_answers(np.array([0, 1]), np.array([0, 0]), names).to_json()
    (matrix,) = checked_sections(scores)
    assert matrix.columns == ("", "0", "1")
    assert [row[0] for row in matrix.rows] == [f"0: {names[0]}", f"1: {names[1]}"]


def test_of_many_classes_the_largest_confusions_are_shown_and_where_the_matrix_is() -> None:
    count = MOST_IN_MATRIX + 1
    labels = np.repeat(np.arange(count), 10)
    answers = labels.copy()
    for true in range(7):  # class 6 is taken for 7 seven times, ...
        answers[10 * true : 10 * true + true + 1] = true + 1
    scores = score_answers(labels, answers, [f"c{i}" for i in range(count)]).to_json()
    classes, confusions = checked_sections(scores)
    assert len(classes.rows) == count
    assert "the largest 5 of 7" in confusions.title
    assert "--json has it" in confusions.title
    assert confusions.rows == [
        (f"c{true}", f"c{true + 1}", str(true + 1), f"{10 * (true + 1):.2f} %")
        for true in (6, 5, 4, 3, 2)
    ]


def test_what_is_undefined_is_a_dash_and_training_is_shown_beside_testing() -> None:
    scores = score_answers(np.array([0, 0]), np.array([0, 0]), ("a", "b")).to_json()
    table = class_section(scores, trained=[30, 10], weights=[2 / 3, 2.0])
    assert table.columns == ("class", "trained on", "weight", "tested", "precision", "recall", "F1")
    assert table.rows == [
        ("a", "30", "0.667", "2", "100.00 %", "100.00 %", "100.00 %"),
        ("b", "10", "2", "0", "-", "-", "-"),
    ]
