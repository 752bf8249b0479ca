# SPDX-License-Identifier: Apache-2.0
"""Two tables beside each other: rows of one only, rows whose values differ, what the headers say.

Dates of rows are left out: a row measured again with the same result is the same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.table.latency_table import LatencyTable
from tinytailor.latency_tables.table.rows import counted_cycles

NOT_COMPARED = ("date",)


@dataclass(frozen=True, slots=True)
class Changed:
    """A row that both tables have: name of each value that differs -> (in the first, in the
    second), such as ``counts.instructions``; ``ratio`` of the cycles that were counted, second to
    first."""

    key: OpKey
    values: dict[str, tuple[Any, Any]]
    ratio: float | None

    def to_json(self) -> dict[str, Any]:
        return {"key": self.key.to_json(), "ratio": self.ratio, "values": _pairs(self.values)}


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs; ``same`` counts the rows that do not."""

    header: dict[str, tuple[Any, Any]]
    only_first: tuple[OpKey, ...]
    only_second: tuple[OpKey, ...]
    changed: tuple[Changed, ...]
    failures_first: tuple[OpKey, ...]
    failures_second: tuple[OpKey, ...]
    same: int

    @property
    def rows_differ(self) -> bool:
        return bool(self.only_first or self.only_second or self.changed)

    def to_json(self) -> dict[str, Any]:
        return {
            "header": _pairs(self.header),
            "only_first": [key.to_json() for key in self.only_first],
            "only_second": [key.to_json() for key in self.only_second],
            "changed": [change.to_json() for change in self.changed],
            "failures_first": [key.to_json() for key in self.failures_first],
            "failures_second": [key.to_json() for key in self.failures_second],
            "same": self.same,
        }


def diff_tables(first: LatencyTable, second: LatencyTable) -> Difference:
    """``failures_…``: keys that could not be measured for one table, but could for the other, or
    were not tried."""
    ours, theirs = set(first.rows.texts), set(second.rows.texts)
    changed = []
    for text in ours & theirs:
        if first.rows.texts[text] == second.rows.texts[text] is not None:
            continue  # equal bytes
        old, new = (table.rows.plain(text) for table in (first, second))
        if _compared(old) != _compared(new):
            changed.append(_changed(first.rows.key(text), old, new))
    return Difference(
        header=differing(flat(first.header.to_json()), flat(second.header.to_json())),
        only_first=tuple(sorted(map(first.rows.key, ours - theirs))),
        only_second=tuple(sorted(map(second.rows.key, theirs - ours))),
        changed=tuple(sorted(changed, key=lambda change: change.key)),
        failures_first=tuple(sorted(first.failures.keys() - second.failures.keys())),
        failures_second=tuple(sorted(second.failures.keys() - first.failures.keys())),
        same=len(ours & theirs) - len(changed),
    )


def _changed(key: OpKey, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changed:
    cycles = counted_cycles(old), counted_cycles(new)
    ratio = cycles[1] / cycles[0] if cycles[0] and cycles[1] is not None else None
    return Changed(key, differing(_compared(old), _compared(new)), ratio)


def _compared(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flat(row).items() if name not in NOT_COMPARED}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined by dots."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*old, *(name for name in new if name not in old)]
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _pairs(values: Mapping[str, tuple[Any, Any]]) -> dict[str, list[Any]]:
    return {name: list(pair) for name, pair in values.items()}
