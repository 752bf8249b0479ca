# SPDX-License-Identifier: Apache-2.0
"""The latency table: what operator configurations cost on one core, or on one board, in one file.

The file is JSON lines in UTF-8, the fields of a line apart by a comma and a tab, the names in them
sorted. The first line is the header, each further line one operator configuration:

    {"check":"5b0c…",\\t"format":"tinytailor-latency-table",\\t"header":{…},\\t"version":4}
    {"check":"91fe…",\\t"key":{…},\\t"row":{"counts":{"core_cycles":81234,…},"cycles":null,…}}
    {"check":"0c77…",\\t"key":{…},\\t"error":"…"}

`header` is a records.Header (core, tool chain with version and flags, tool version, runner, glue of
an invoke, date; and, only where cycles were measured on it, a board and its clock), `row` a
records.Measurement. Counts hold for every board of the core: what time they take is the board's
latency model applied to them. An `error` says why a configuration could not be measured; a later
row of the same key replaces it.

`check` is the first 16 hex digits of SHA-256 over the bytes that follow it in the line, a row's
over the header's check and these bytes: an edited row, or one pasted from another table, is
refused. So loading need not parse rows: it checks every line, finds the text of its key (JSON text
holds no raw tab) and parses a row when it is asked for.

Rows are only ever appended by one process at a time (a lock beside the file), in one piece and
synced: whatever kills the process, at most a torn last line is lost, and loading drops it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.table.lines import Line, check_of, header_line, read_lines, row_line
from tinytailor.latency_tables.table.records import Header, Measurement
from tinytailor.latency_tables.table.rows import Rows
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_atomically


@dataclass(frozen=True, slots=True)
class Failure:
    """A configuration that could not be measured, and why."""

    key: OpKey
    message: str


Entry = Measurement | Failure


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """A loaded table; `table[key]` is a Measurement or an InputError saying how to measure it."""

    path: Path
    header: Header
    rows: Rows = field(default_factory=Rows)
    failures: dict[OpKey, Failure] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[OpKey]:
        return iter(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def __getitem__(self, key: OpKey) -> Measurement:
        row = self.rows.get(key)
        if row is not None:
            return row
        if key in self.failures:
            raise InputError(
                f"{self.path}: {describe(key)} could not be measured on {self.header.device}: "
                f"{self.failures[key].message}"
            )
        raise InputError(
            f"{self.path} has no row for {describe(key)}; measure it with: "
            f"{self.header.command(self.path)}"
        )

    @classmethod
    def create(cls, path: Path, header: Header) -> LatencyTable:
        """A new table with only its header, replacing any file at ``path``; never half written."""
        _replace(path, header_line(header))
        return cls(path, header)

    @classmethod
    def load(cls, path: Path | str) -> LatencyTable:
        """Read and check every line of the file; InputError names the line and what is wrong."""
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read latency table {path}: {error.strerror}") from None
        header, lines = read_lines(path, content)
        table = cls(path, header, Rows(str(path)))
        for line in lines:
            table._take(line)
        return table

    def append(self, entries: Sequence[Entry]) -> None:
        """Add rows to the file and to this record: written in one piece, synced on return.

        The caller holds `only_writer(path)` from before it loaded the table.
        """
        seen: set[OpKey] = set()
        for key in [entry.key for entry in entries]:
            if key in self.rows or key in seen:
                raise InputError(f"{self.path} already has a row for {describe(key)}")
            seen.add(key)
        lines = self._encoded(entries)
        with open(self.path, "r+b") as file:
            file.seek(_complete_bytes(self.path))
            file.truncate()
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        for entry in entries:
            self._remember(entry)

    def sort(self) -> None:
        """Rewrite the file, rows in the order of their keys, failures after them.

        Equal tables are equal bytes then, whatever order they were measured in. The caller holds
        `only_writer(path)` from before it loaded the table.
        """
        entries: list[Entry] = [self.rows[key] for key in sorted(self.rows)]
        entries += [self.failures[key] for key in sorted(self.failures)]
        _replace(self.path, header_line(self.header) + self._encoded(entries))
        self.rows.sort()

    def _encoded(self, entries: Iterable[Entry]) -> bytes:
        seed = check_of(self.header)
        return b"".join(row_line(entry.key, *_values(entry), seed) for entry in entries)

    def _remember(self, entry: Entry) -> None:
        if isinstance(entry, Failure):
            self.failures[entry.key] = entry
        else:
            self.rows.add(entry)
            self.failures.pop(entry.key, None)

    def _take(self, line: Line) -> None:
        """One checked line of the file, remembered; a row stays text."""
        if line.key in self.rows.texts:
            key = OpKey.from_json(json.loads(line.key))
            raise InputError(
                f"{self.path}, line {line.number}: {describe(key)} has a row already; delete one"
            )
        if line.name == "row":
            self.rows.add_text(line.key, line.value)
            if self.failures:
                self.failures.pop(OpKey.from_json(json.loads(line.key)), None)
            return
        try:
            key, message = OpKey.from_json(json.loads(line.key)), json.loads(line.value)
        except (InputError, ValueError) as error:
            raise InputError(f"{self.path}, line {line.number}: {error}") from None
        self._remember(Failure(key, str(message)))


def _values(entry: Entry) -> tuple[str, Any]:
    """The name and the value of an entry in its line, besides its key."""
    if isinstance(entry, Failure):
        return "error", entry.message
    return "row", {name: value for name, value in entry.to_json().items() if name != "key"}


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write_bytes(content), synced=True)


def describe(key: OpKey) -> str:
    """``conv2d 1x100x1x6 (kernel=3x1, …) on dsp``, for messages."""
    shapes = " + ".join(_short(shape) for shape in key.input_shapes)
    attributes = json.loads(key.attributes)
    text = ", ".join(f"{name}={_short(value)}" for name, value in attributes.items())
    return f"{key.kind} {shapes}" + (f" ({text})" if text else "") + f" on {key.isa}"


def _short(value: Any) -> str:
    return "x".join(map(_short, value)) if isinstance(value, list | tuple) else str(value)


def _complete_bytes(path: Path) -> int:
    """Length of the file up to its last complete line; a torn line is overwritten."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read(1) == b"\n":
            return size
    return path.read_bytes().rfind(b"\n") + 1
