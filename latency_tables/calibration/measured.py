# SPDX-License-Identifier: Apache-2.0
"""Latencies that were measured on a board, as a person or a program writes them down.

JSON lines, one measured operator or network each; `tinytailor calibrate --plan` writes the keys:

    {"key": {"kind": "conv2d", …}, "cycles": 81234}
    {"key": {…}, "latency_ms": 0.451, "name": "first layer"}
    {"project": "build/kws", "latency_ms": 76.1}

CSV with the same names as columns; or a latency table that was measured on the board itself. A key
is an OpKey as `tinytailor measure` writes it, a project a folder that `tinytailor compile` wrote.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.calibration.board_file import require_folder
from tinytailor.latency_tables.table.latency_table import LatencyTable, describe
from tinytailor.latency_tables.table.lines import FORMAT
from tinytailor.latency_tables.table.origin import require_valid_for
from tinytailor.targets import Board
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_text
from tinytailor.targets.names import no_such

WHAT, TIME = ("key", "project"), ("cycles", "latency_ms")
REMARKS = ("name", "target", "repeats", "spread_cycles")
FIELDS = (*WHAT, *TIME, *REMARKS)


@dataclass(frozen=True, slots=True)
class Measured:
    """``cycles`` of one operator or of one network; ``unit`` is the field they were given in."""

    where: str
    what: OpKey | Path
    cycles: float
    unit: str

    @property
    def name(self) -> str:
        return describe(self.what) if isinstance(self.what, OpKey) else str(self.what)


def read_measured(path: Path, board: Board) -> tuple[Measured, ...]:
    """The measurements in a file; InputError names the line that cannot be used."""
    if is_table(path):
        return _of_table(LatencyTable.load(path), board)
    text = _text(path)
    lines = _csv_lines(path, text) if path.suffix.lower() == ".csv" else _json_lines(path, text)
    found: dict[OpKey | Path, Measured] = {}
    for where, values in lines:
        entry = _measured(where, values, board, path.parent)
        if entry.what in found:
            raise InputError(
                f"{where}: {entry.name} was measured in {found[entry.what].where} already; give "
                "one line for each (the median, if it was measured several times)"
            )
        found[entry.what] = entry
    if not found:
        raise InputError(f"{path} holds no measurement: expected lines like {EXAMPLE}")
    return tuple(found.values())


def is_table(path: Path) -> bool:
    """Whether the file is a latency table, and not lines of a person."""
    return FORMAT in _text(path).partition("\n")[0]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8") from None


EXAMPLE = '{"key": {…}, "cycles": 81234}'


def write_plan(keys: Sequence[OpKey], path: Path) -> None:
    """Lines to fill in, one for each key: JSON lines, or CSV if the file is called so."""
    entries = [{"name": describe(key), "key": key.to_json(), "cycles": None} for key in keys]
    if path.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(entries[0])
        for entry in entries:
            writer.writerow([entry["name"], json.dumps(entry["key"]), ""])
        content = text.getvalue()
    else:
        content = "".join(json.dumps(entry) + "\n" for entry in entries)
    require_folder(path)
    write_text(path, content)


def _of_table(table: LatencyTable, board: Board) -> tuple[Measured, ...]:
    header = table.header
    if header.target is None:
        raise InputError(
            f"{table.path} was made by the {header.runner}, so it holds counts and no measured "
            "cycles; give it as --table, and what was measured on the board as --measured"
        )
    if header.target == board.name and header.clock_hz != board.clock_hz:
        raise InputError(
            f"{table.path} was measured at {header.clock_hz} Hz, the board file of {board.name} "
            f"says {board.clock_hz} Hz; flash waits differ, so constants hold for one clock only"
        )
    require_valid_for(header, table.path, board)
    rows = [table[key] for key in sorted(table)]
    if not rows:
        raise InputError(f"{table.path} holds no measurement: measure some operators into it first")
    return tuple(
        Measured(str(table.path), row.key, row.cycles, "cycles")
        for row in rows
        if row.cycles is not None
    )


def read_keys(path: Path, board: Board) -> tuple[OpKey, ...]:
    """The operators of a plan, measured or not yet."""
    lines = _csv_lines if path.suffix.lower() == ".csv" else _json_lines
    found = [
        _key(where, values["key"], board)
        for where, values in lines(path, _text(path))
        if "key" in values
    ]
    if not found:
        raise InputError(f"{path} names no operators; expected lines like {EXAMPLE}")
    return tuple(sorted(set(found)))


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            values = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error}); expected {EXAMPLE}") from None
        if not isinstance(values, dict):
            raise InputError(f"{where}: expected an object like {EXAMPLE}, got {line.strip()[:40]}")
        yield where, values


def _csv_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Lines with the columns that are not empty."""
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if not {*WHAT} & {*(reader.fieldnames or ())} or not {*TIME} & {*(reader.fieldnames or ())}:
        raise InputError(
            f"{path}: the first line must name the columns: {' or '.join(WHAT)}, and "
            f"{' or '.join(TIME)}; got {', '.join(reader.fieldnames or ()) or 'nothing'}"
        )
    for line in reader:
        where = f"{path}, line {reader.line_num}"
        if None in line:
            raise InputError(
                f"{where} has more columns than line 1; quotes inside a key are doubled in CSV: "
                '"{""kind"": …}"'
            )
        values: dict[str, Any] = {name: value for name, value in line.items() if value}
        for name in ("key", *TIME):
            if name in values:
                try:
                    values[name] = json.loads(values[name])
                except ValueError:
                    raise InputError(
                        f"{where}: {name} is {values[name]!r}, expected "
                        f"{'an operator key in JSON' if name == 'key' else 'a number'}"
                    ) from None
        yield where, values


def _measured(where: str, values: Mapping[str, Any], board: Board, folder: Path) -> Measured:
    """One line; projects are looked for beside the file."""
    unknown = sorted(values.keys() - {*FIELDS})
    if unknown:
        raise no_such(f'{where}: unknown field "{unknown[0]}"', unknown[0], FIELDS)
    if values.get("target", board.name) != board.name:
        raise InputError(f"{where} was measured on {values['target']}, not on {board.name}")
    what = _one_of(where, values, WHAT)
    unit = _one_of(where, values, TIME)
    value = values[unit]
    if value is None:
        raise InputError(f"{where}: {unit} is not filled in; measure it, or delete the line")
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not math.isfinite(value) or value <= 0:
        raise InputError(f"{where}: {unit} is {value!r}, expected a number above 0")
    cycles = float(value) if unit == "cycles" else value * board.clock_hz / 1e3
    if what == "project":
        return Measured(where, folder / str(values["project"]), cycles, unit)
    return Measured(where, _key(where, values["key"], board), cycles, unit)


def _key(where: str, record: Any, board: Board) -> OpKey:
    if not isinstance(record, dict):
        raise InputError(f"{where}: key is {record!r}, expected an operator key in JSON")
    try:
        key = OpKey.from_json(record)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if key.isa != str(board.core.isa):
        raise InputError(
            f"{where}: {describe(key)} is not for {board.name}, which has {board.core.isa}"
        )
    return key


def _one_of(where: str, values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    given = [name for name in names if name in values]
    if len(given) != 1:
        got = " and ".join(given) or "neither"
        raise InputError(f'{where}: expected "{names[0]}" or "{names[1]}", got {got}')
    return given[0]
