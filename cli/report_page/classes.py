# SPDX-License-Identifier: Apache-2.0
"""How each class fares on the test part: what was taken for what, precision and recall.

        predicted
         a   b   c
true a  19   0   1      one row a true class; a cell is as dark as its share of the row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.drawing import draw, grouped, percent

if TYPE_CHECKING:
    from markupsafe import Markup

WIDEST = 40  # classes of a map; of more, the mistakes say more
MISTAKES = 5


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class with its row of the confusion matrix; ``shares`` are those of the row.

    None: undefined, as the precision of a class that is never predicted.
    """

    name: str
    count: int
    precision: float | None
    recall: float | None
    f1: float | None
    cells: tuple[int, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """``count`` inputs of the class ``true`` were taken for ``predicted``."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One network in three numbers."""

    name: str
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class ClassResults:
    """``balance``: how unequal the classes are, in words, and what to do about it."""

    samples: int
    rows: tuple[ClassRow, ...]
    mistakes: tuple[Mistake, ...]
    summaries: tuple[Summary, ...]
    balance: tuple[str, ...] = ()

    @property
    def mapped(self) -> bool:
        return len(self.rows) <= WIDEST


def class_results(report: Mapping[str, Any]) -> ClassResults | None:
    scores = report.get("scores")
    if scores is None:
        return None
    balance = report.get("balance", {})
    networks = (
        (f"always {balance.get('largest')!r}", balance.get("always_largest")),
        ("float network", report.get("float_scores")),
        ("int8, integer reference", scores),
    )
    return ClassResults(
        scores["samples"],
        tuple(map(_row, scores["per_class"], scores["confusion"])),
        _mistakes(scores["names"], scores["confusion"]),
        tuple(_summary(name, found) for name, found in networks if found is not None),
        tuple(text for key in ("text", "hint") if (text := balance.get(key))),
    )


def draw_classes(data: ClassResults) -> Markup:
    return draw("classes.html", classes=data, sentence=_sentence(data))


def _row(record: Mapping[str, Any], cells: Sequence[int]) -> ClassRow:
    return ClassRow(
        record["name"],
        record["count"],
        record["precision"],
        record["recall"],
        record["f1"],
        tuple(cells),
        tuple(cell / (sum(cells) or 1) for cell in cells),
    )


def _mistakes(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[Mistake, ...]:
    """The most frequent ones, of all pairs of classes."""
    found = [
        Mistake(true, predicted, count)
        for true, row in zip(names, confusion, strict=True)
        for predicted, count in zip(names, row, strict=True)
        if count and true != predicted
    ]
    return tuple(sorted(found, key=lambda mistake: -mistake.count)[:MISTAKES])


def _summary(name: str, scores: Mapping[str, Any]) -> Summary:
    return Summary(name, scores["accuracy"], scores["balanced_accuracy"], scores["macro_f1"])


def _sentence(data: ClassResults) -> str:
    if not data.mistakes:
        return f"All {grouped(data.samples)} test inputs are classified right."
    tested = [row for row in data.rows if row.recall is not None]
    worst, first = min(tested, key=lambda row: row.recall or 0.0), data.mistakes[0]
    return (
        f"Least often recognized: {worst.name}, {percent(worst.recall or 0.0)} of "
        f"{grouped(worst.count)}. "
        f"Most frequent mistake: {first.true} taken for {first.predicted}, "
        f"{grouped(first.count)} of {grouped(data.samples)} test inputs."
    )
