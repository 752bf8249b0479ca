# SPDX-License-Identifier: Apache-2.0
"""The lines of a table's file: made, checked and cut into key and value, not parsed.

    {"check":"…",\\t"key":KEY,\\t"row":VALUE}       check = SHA-256(check of the header + the rest)
    |<-- CHECKED -->|<------- the rest ------->|

JSON text written by this tool holds no raw tab, so a comma and a tab only ever end a field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.table.records import Header
from tinytailor.targets.errors import InputError

FORMAT = "tinytailor-latency-table"
VERSION = 4
CHECKED = len('{"check":"0123456789abcdef",\t')
NAMES = {b'"row":': "row", b'"error":': "error"}


class Line(NamedTuple):
    """Key and value as JSON text; ``name`` of the value is "row" or "error"."""

    number: int
    key: bytes
    name: str
    value: bytes


def header_line(header: Header) -> bytes:
    fields = {"format": FORMAT, "header": header.to_json(), "version": VERSION}
    return _line([f'"{name}":{_json(value)}' for name, value in fields.items()], seed="")


def check_of(header: Header) -> str:
    """What the checks of this header's rows are seeded with."""
    check: str = json.loads(header_line(header))["check"]
    return check


def row_line(key: OpKey, name: str, value: Any, seed: str) -> bytes:
    return _line([f'"key":{key.text}', f'"{name}":{_json(value)}'], seed)


def _line(fields: list[str], seed: str) -> bytes:
    rest = (",\t".join(fields) + "}").encode()
    check = hashlib.sha256(seed.encode() + rest).hexdigest()[:16]
    return f'{{"check":"{check}",\t'.encode() + rest + b"\n"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_lines(path: Path, content: bytes) -> tuple[Header, Iterator[Line]]:
    """The header and the further lines of a file, checked; what follows the last newline is
    dropped. InputError names the line and what is wrong."""
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if not lines:
        raise InputError(f"{path} is not a latency table: it has no complete line")
    return _header(path, lines[0]), _rows(path, lines)


def _rows(path: Path, lines: list[bytes]) -> Iterator[Line]:
    seed = hashlib.sha256(json.loads(lines[0])["check"].encode())
    for number, line in enumerate(lines[1:], start=2):
        check = seed.copy()
        check.update(line[CHECKED:])
        if line[:CHECKED] != b'{"check":"%s",\t' % check.hexdigest()[:16].encode():
            raise _wrong(path, number, line)
        fields = line[CHECKED:-1].split(b",\t")
        name, colon, value = fields[-1].partition(b":")
        known = NAMES.get(name + colon)
        if len(fields) != 2 or known is None or not fields[0].startswith(b'"key":'):
            raise InputError(f'{path}, line {number}: expected "key" and "row" or "error"')
        yield Line(number, fields[0][len('"key":') :], known, value)


def _wrong(path: Path, number: int, line: bytes) -> InputError:
    """What to say of a line whose check does not fit."""
    try:
        values = json.loads(line)
    except ValueError:
        return InputError(f"{path}, line {number}: not JSON")
    if not isinstance(values, dict):
        return InputError(f"{path}, line {number}: expected an object, got {line[:40]!r}")
    if values.get("format") == FORMAT:
        return InputError(
            f"{path}, line {number}: a second header; rows of two tables cannot be in one file, "
            "keep the lines before it or those from it on"
        )
    return InputError(
        f"{path}, line {number}: the line was edited or comes from another table; "
        f"delete it and run tinytailor measure again"
    )


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
            "measure it again into another file, or into this one with `tinytailor measure "
            "--no-resume`"
        )
    rest = line[CHECKED:]
    check = hashlib.sha256(rest).hexdigest()[:16]
    if line[:CHECKED] != f'{{"check":"{check}",\t'.encode():
        raise _edited_header(path)
    try:
        return Header.from_json(values["header"])
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}, line 1: bad header: {error}") from None


def _edited_header(path: Path) -> InputError:
    return InputError(
        f"{path}, line 1: the line was edited or comes from another table; measure it again"
    )
