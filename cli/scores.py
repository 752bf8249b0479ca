# SPDX-License-Identifier: Apache-2.0
"""Tables of how well classes are told apart, from the JSON of `tinytailor.nas.scores.Scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytailor.compiler.sections import Section

MOST_IN_MATRIX = 12  # classes; of more, the largest confusions are shown
MOST_CONFUSIONS = 5
WIDEST_NAMES = 48  # characters of all class names that may stand above the columns of a matrix

Scored = Mapping[str, Any]


def percent(fraction: float | None) -> str:
    """In a cell; what is undefined is a dash."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def metric_titles() -> tuple[str, ...]:
    from tinytailor.nas.scores import METRICS

    return tuple(metric.title for metric in METRICS.values())


def metric_cells(values: Scored) -> tuple[str, ...]:
    """Every metric, in the order of the titles."""
    from tinytailor.nas.scores import METRICS, metric_key

    return tuple(percent(values[metric_key(name)]) for name in METRICS)


def class_section(
    scores: Scored, trained: Sequence[int] = (), weights: Sequence[float] | None = None
) -> Section:
    """Each class: samples, precision, recall and F1; with ``trained``, the samples of training and
    their weights too."""
    from tinytailor.compiler.sections import Section

    columns: list[str] = ["class"]
    cells: list[list[str]] = [[str(one["name"])] for one in scores["per_class"]]

    def add(title: str, texts: Sequence[str]) -> None:
        columns.append(title)
        for row, text in zip(cells, texts, strict=True):
            row.append(text)

    if trained:
        add("trained on", [str(count) for count in trained])
    if weights is not None:
        add("weight", [f"{weight:.3g}" for weight in weights])
    add("tested", [str(one["count"]) for one in scores["per_class"]])
    for title in ("precision", "recall", "F1"):
        add(title, [percent(one[title.lower()]) for one in scores["per_class"]])
    return Section("Classes", tuple(columns), [tuple(row) for row in cells])


def confusion_section(scores: Scored) -> Section:
    """The matrix, or of many classes the largest confusions."""
    from tinytailor.compiler.sections import Section

    names, matrix = list(map(str, scores["names"])), scores["confusion"]
    if len(names) > MOST_IN_MATRIX:
        return _largest_confusions(names, matrix)
    heads = names
    if sum(map(len, names)) > WIDEST_NAMES:
        heads = [str(place) for place in range(len(names))]
        names = [f"{place}: {name}" for place, name in zip(heads, names, strict=True)]
    return Section(
        "Confusion: how often the class of a row was taken for that of a column",
        ("", *heads),
        [(name, *map(str, row)) for name, row in zip(names, matrix, strict=True)],
    )


def _largest_confusions(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> Section:
    from tinytailor.compiler.sections import Section

    wrong = [
        (count, true, answer)
        for true, row in enumerate(matrix)
        for answer, count in enumerate(row)
        if true != answer and count
    ]
    largest = sorted(wrong, key=lambda one: -one[0])[:MOST_CONFUSIONS]
    return Section(
        f"Confusion: the largest {len(largest)} of {len(wrong)} kinds, as the matrix of "
        f"{len(names)} classes is too large; --json has it",
        ("class", "taken for", "times", "of the class"),
        [
            (names[true], names[answer], str(count), percent(count / sum(matrix[true])))
            for count, true, answer in largest
        ],
    )


def checked_sections(scores: Scored) -> list[Section]:
    """What `verify` shows: the matrix, or of many classes a row each and the largest confusions."""
    many = len(scores["names"]) > MOST_IN_MATRIX
    return [*([class_section(scores)] if many else []), confusion_section(scores)]


def how_found(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which data the scores are of, how networks were trained, and how much was tried."""
    effort, use = report.get("effort") or {}, report.get("use") or {}
    tried = (
        f"{effort['evaluations']} networks estimated, {effort['finalists']} trained on "
        f"{effort['folds']} folds"
        if effort
        else ""
    )
    reason = f": {use['reason']}" if use.get("reason") else ""
    used = f"{100 * use['share']:.1f} % of the {use['limit']}" if use.get("limit") else ""
    return [
        ("protocol", report.get("protocol", "")),
        ("recipe", (report.get("recipe") or {}).get("name", "")),
        ("tried", tried),
        ("budget used", f"{used}{reason}" if used else ""),
    ]


def choice_section(report: Mapping[str, Any]) -> Section:
    """By what a search decided, how classes were weighted, and what knowing no more is worth."""
    from tinytailor.compiler.sections import Section
    from tinytailor.nas.scores import METRICS

    metric = METRICS[report["metric"]].title
    held = "held-out training data of each fold" if report.get("front") else "the validation part"
    rows = [
        ("networks compared by", f"{metric} on {held}"),
        *((name, text) for name, text in how_found(report) if text),
        ("class weights in training", report["class_weights"]),
        ("balance", report["balance"]["text"]),
    ]
    if report["balance"]["hint"]:
        rows.append(("hint", report["balance"]["hint"]))
    return Section("Choice and training", ("", ""), rows, text=True)
