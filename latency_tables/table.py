# SPDX-License-Identifier: Apache-2.0
"""The latency table: what operator configurations cost on one target, in one file.

The file is JSON lines in UTF-8, object keys sorted. The first line is the header, each further line
one operator configuration:

    {"check": "5b0c…", "format": "tinytailor-latency-table", "header": {…}, "version": 2}
    {"check": "91fe…", "row": {"key": {…}, "instructions": 63012, "cycles": 81234.5, …}}
    {"check": "0c77…", "error": {"key": {…}, "message": "…"}}

`header` is a records.Header (target, core, clock, tool chain with version and flags, tool version,
constants of the latency model, glue of an invoke, date), `row` a records.Measurement. An `error`
says why a configuration could not be measured; a later row of the same key replaces it. `check` is
the first 16 hex digits of SHA-256 over the line without it, a row's seeded with the header's check:
an edited row, or one pasted from another table, is refused.

Rows are only ever appended by one process at a time (a lock beside the file), in one piece and
synced: whatever kills the process, at most a torn last line is lost, and loading drops it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.records import Header, Measurement
from tinytailor.targets.errors import InputError

FORMAT = "tinytailor-latency-table"
VERSION = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """A configuration that could not be measured, and why."""

    key: OpKey
    message: str


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """A loaded table; `table[key]` is a Measurement or an InputError saying how to measure it."""

    path: Path
    header: Header
    rows: dict[OpKey, Measurement] = field(default_factory=dict)
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
                f"{self.path}: {describe(key)} could not be measured on {self.header.target}: "
                f"{self.failures[key].message}"
            )
        raise InputError(
            f"{self.path} has no row for {describe(key)}; measure it with: tinytailor measure "
            f"--target {self.header.target} --space SPACE --out {self.path}"
        )

    @classmethod
    def create(cls, path: Path, header: Header) -> LatencyTable:
        """A new table with only its header, replacing any file at ``path``; never half written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        line = _line({"format": FORMAT, "header": header.to_json(), "version": VERSION}, seed="")
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        return cls(path, header)

    @classmethod
    def load(cls, path: Path | str) -> LatencyTable:
        """Read and check every line of the file; InputError names the line and what is wrong."""
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read latency table {path}: {error.strerror}") from None
        lines = content[: content.rfind(b"\n") + 1].splitlines()
        if not lines:
            raise InputError(f"{path} is not a latency table: it has no complete line")
        table = cls(path, _header(path, lines[0]))
        seed = json.loads(lines[0])["check"]
        for number, line in enumerate(lines[1:], start=2):
            table._take(number, _parse(path, number, line, seed))
        return table

    def append(self, entries: Sequence[Measurement | Failure]) -> None:
        """Add rows to the file and to this record: written in one piece, synced on return.

        The caller holds `writing(path)` from before it loaded the table.
        """
        seed = _check({"format": FORMAT, "header": self.header.to_json(), "version": VERSION}, "")
        lines = b"".join(_line(_entry(entry), seed) for entry in entries)
        repeated = [e.key for e in entries if isinstance(e, Measurement) and e.key in self.rows]
        if repeated:
            raise InputError(f"{self.path} already has a row for {describe(repeated[0])}")
        with open(self.path, "r+b") as file:
            file.seek(_complete_bytes(self.path))
            file.truncate()
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        for entry in entries:
            self._remember(entry)

    def _remember(self, entry: Measurement | Failure) -> None:
        if isinstance(entry, Failure):
            self.failures[entry.key] = entry
        else:
            self.rows[entry.key] = entry
            self.failures.pop(entry.key, None)

    def _take(self, number: int, line: dict[str, Any]) -> None:
        """One parsed line of the file, remembered."""
        try:
            entry: Measurement | Failure
            if line.keys() == {"check", "row"}:
                entry = Measurement.from_json(line["row"])
            elif line.keys() == {"check", "error"}:
                entry = Failure(OpKey.from_json(line["error"]["key"]), line["error"]["message"])
            else:
                raise InputError(f'expected "row" or "error", got {sorted(line)}')
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path}, line {number}: {error}") from None
        if entry.key in self.rows:
            raise InputError(
                f"{self.path}, line {number}: {describe(entry.key)} has a row already; delete one"
            )
        self._remember(entry)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """The only writer of ``path`` for a while; the lock goes with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with open(lock, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(file.fileno()).st_ino == os.stat(lock).st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise InputError(f"another process is writing {path}; wait for it to finish")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def describe(key: OpKey) -> str:
    """``conv2d 1x100x1x6 (kernel=3x1, …) on dsp``, for messages."""
    shapes = " + ".join(_short(shape) for shape in key.input_shapes)
    attributes = json.loads(key.attributes)
    text = ", ".join(f"{name}={_short(value)}" for name, value in attributes.items())
    return f"{key.kind} {shapes}" + (f" ({text})" if text else "") + f" on {key.isa}"


def _short(value: Any) -> str:
    return "x".join(map(_short, value)) if isinstance(value, list | tuple) else str(value)


def _entry(entry: Measurement | Failure) -> dict[str, Any]:
    if isinstance(entry, Failure):
        return {"error": {"key": entry.key.to_json(), "message": entry.message}}
    return {"row": entry.to_json()}


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, allow_nan=False)


def _check(values: dict[str, Any], seed: str) -> str:
    return hashlib.sha256((seed + _canonical(values)).encode()).hexdigest()[:16]


def _line(values: dict[str, Any], seed: str) -> bytes:
    return (_canonical({"check": _check(values, seed), **values}) + "\n").encode()


def _complete_bytes(path: Path) -> int:
    """Length of the file up to its last complete line; a torn line is overwritten."""
    return path.read_bytes().rfind(b"\n") + 1


def _parse(path: Path, number: int, line: bytes, seed: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:
        raise InputError(f"{path}, line {number}: not JSON") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}, line {number}: expected an object, got {line[:40]!r}")
    rest = {name: value for name, value in values.items() if name != "check"}
    if values.get("check") != _check(rest, seed):
        raise InputError(
            f"{path}, line {number}: the line was edited or comes from another table; "
            f"delete it and run tinytailor measure again"
        )
    return values


def _header(path: Path, line: bytes) -> Header:
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{path} is not a latency table: line 1 does not say {FORMAT!r}")
    if values.get("version") != VERSION:
        raise InputError(
            f"{path} has format version {values.get('version')}, this tool reads {VERSION}; "
            "measure it again into a new file"
        )
    try:
        return Header.from_json(_parse(path, 1, line, seed="")["header"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}, line 1: bad header: {error}") from None
