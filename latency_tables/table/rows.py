# SPDX-License-Identifier: Apache-2.0
"""The rows of a table, parsed when they are asked for.

A row lives under the canonical text of its key; a search asks for a few hundred of ten thousand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.table.records import Measurement
from tinytailor.targets.errors import InputError


class Rows(Mapping[OpKey, Measurement]):
    """``texts``: the JSON text of each row by that of its key, in the order of the file."""

    __slots__ = ("_parsed", "_place", "texts")

    def __init__(self, place: str = "latency table") -> None:
        self.texts: dict[bytes, bytes | None] = {}  # None: never was text
        self._parsed: dict[OpKey, Measurement] = {}
        self._place = place

    def add(self, row: Measurement) -> None:
        self.texts[row.key.text.encode()] = None
        self._parsed[row.key] = row

    def add_text(self, key: bytes, row: bytes) -> None:
        self.texts[key] = row

    def sort(self) -> None:
        self.texts = {key.text.encode(): self.texts[key.text.encode()] for key in sorted(self)}

    @property
    def parsed(self) -> int:
        """How many rows are more than text."""
        return len(self._parsed)

    def counted_cycles(self) -> dict[OpKey, float]:
        """Of every row (see Measurement), which takes less than parsing them."""
        return {self.key(key): self._counted(key) for key in self.texts}

    def _counted(self, key: bytes) -> float:
        found = counted_cycles(self.plain(key))
        if found is None:
            raise InputError(f"{self._place}, row of {key.decode()}: no cycles in it")
        return found

    def plain(self, key: bytes) -> dict[str, Any]:
        """The JSON values of the row of a key's text, without the key."""
        text = self.texts[key]
        if text is not None:
            try:
                values = json.loads(text)
            except ValueError:
                values = None
            if not isinstance(values, dict):
                raise InputError(f"{self._place}, row of {key.decode()}: not an object")
            return values
        row = self._parsed[self.key(key)]
        return {name: value for name, value in row.to_json().items() if name != "key"}

    def __len__(self) -> int:
        return len(self.texts)

    def __contains__(self, key: object) -> bool:
        return key in self._parsed or (isinstance(key, OpKey) and key.text.encode() in self.texts)

    def __iter__(self) -> Iterator[OpKey]:
        return (self.key(text) for text in list(self.texts))

    def __getitem__(self, key: OpKey) -> Measurement:
        row = self._parsed.get(key)
        if row is None:
            text = self.texts.get(key.text.encode())
            if text is None:
                raise KeyError(key)
            row = self._parsed[key] = self._row(key, text)
        return row

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {self._place}>"

    def key(self, text: bytes) -> OpKey:
        try:
            return OpKey.from_json(json.loads(text))
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{self._place}: {error}") from None

    def _row(self, key: OpKey, text: bytes) -> Measurement:
        try:
            return Measurement.from_json({"key": key, **json.loads(text)})
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{self._place}, row of {key.text}: {error}") from None


def counted_cycles(row: Mapping[str, Any]) -> float | None:
    """Measurement.counted_cycles of the JSON values of a row, None where there are none."""
    counts = row.get("counts")
    modelled = counts.get("core_cycles") if isinstance(counts, Mapping) else None
    found = modelled if row.get("cycles") is None else row["cycles"]
    return float(found) if isinstance(found, int | float) else None
