# SPDX-License-Identifier: Apache-2.0
"""Reading a TOML table key by key, so that each mistake gets one sentence that names it.

file, key            what was found            what was expected
mine.toml: key "clock_hz" is missing; expected a whole number of at least 1.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytailor.targets.errors import InputError
from tinytailor.targets.names import likely, no_such


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; InputError where it cannot be read or parsed."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}.") from error


@dataclass(slots=True)
class TomlTable:
    """One table of a file. Every key that is read is ticked off; ``finish`` refuses the others."""

    path: Path
    values: Mapping[str, Any]
    prefix: str = ""
    read: list[str] = field(default_factory=list)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, "a text", default)
        if not isinstance(value, str) or not value.strip():
            raise self._mistyped(key, value, "a text")
        return value

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in known:
            raise no_such(f'{self.path}: key "{self.prefix}{key}" is {value!r}', value, known)
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self._get(key, "true or false", default)
        if not isinstance(value, bool):
            raise self._mistyped(key, value, "true or false")
        return value

    def integer(self, key: str, minimum: int, default: int | None = None) -> int:
        expected = f"a whole number of at least {minimum}"
        value = self._get(key, expected, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self._mistyped(key, value, expected)
        return value

    def number(self, key: str, minimum: float, default: float | None = None) -> float:
        expected = f"a number of at least {minimum:g}"
        value = self._get(key, expected, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._mistyped(key, value, expected)
        if not minimum <= value < float("inf"):  # also refuses nan
            raise self._mistyped(key, value, expected)
        return float(value)

    def rising_pair(self, key: str) -> tuple[int, int] | None:
        """Two whole numbers, the second one larger; None where the key is absent."""
        value = self._get(key, "", default=())
        if value == ():
            return None
        whole = isinstance(value, list) and [type(v) for v in value] == [int, int]
        if not whole or not 0 <= value[0] < value[1]:
            raise self._mistyped(key, value, "two rising whole numbers [from, to]")
        return value[0], value[1]

    def texts(self, key: str) -> tuple[str, ...]:
        """One or more texts."""
        value = self._get(key, "a list of texts", None)
        if not isinstance(value, list) or not value or not all(map(_is_text, value)):
            raise self._mistyped(key, value, "a list of texts")
        return tuple(value)

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> TomlTable:
        value = self._get(key, "a table", default)
        if not isinstance(value, dict):
            raise self._mistyped(key, value, "a table")
        return TomlTable(self.path, value, f"{self.prefix}{key}.")

    def finish(self) -> None:
        """InputError if the table holds a key that nobody asked for."""
        unknown = [key for key in self.values if key not in self.read]
        if unknown:
            problem = f'{self.path}: unknown key "{self.prefix}{unknown[0]}"'
            known = {key: f'"{self.prefix}{key}"' for key in self.read}
            raise no_such(problem, unknown[0], known, label="known here")

    def _get(self, key: str, expected: str, default: object) -> Any:
        self.read.append(key)
        if key in self.values:
            return self.values[key]
        if default is None:
            raise InputError(
                f'{self.path}: key "{self.prefix}{key}" is missing; expected {expected}'
                f"{self._misspelt(key, expected)}."
            )
        return default

    def _misspelt(self, key: str, expected: str) -> str:
        """The key that may stand there in place of a missing one, in words."""
        tables = expected == "a table"
        others = [
            other
            for other, value in self.values.items()
            if other not in self.read and isinstance(value, dict) == tables
        ]
        near = likely(key, others)
        return f'; "{self.prefix}{near[0]}" may be meant for it' if near else ""

    def _mistyped(self, key: str, value: object, expected: str) -> InputError:
        return InputError(
            f'{self.path}: key "{self.prefix}{key}" is {value!r}; expected {expected}.'
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
