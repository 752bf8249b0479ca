# SPDX-License-Identifier: Apache-2.0
"""What every command shares: where its words go, and how it ends.

A command returns a Result. It goes to stdout: as text, or with ``--json`` as exactly one JSON
object (``{"error": …, "exit_code": …}`` where there is no result). Everything else (steps, progress
bars, errors, what libraries print) goes to stderr. A mistake ends in a sentence and a code:

    0 ok   1 a check failed   2 usage or bad input   3 over budget   4 tool missing   130 Ctrl-C
"""

from __future__ import annotations

import contextlib
import functools
import json
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, ParamSpec, TextIO

import typer
from rich.console import Console

from tinytailor.targets.errors import Doubt, TinytailorError

P = ParamSpec("P")

INTERRUPTED = 130
DIGITS = 12  # of numbers in JSON; a double has 16, the last ones being the noise of sums


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: ``values`` for programs, ``show`` draws it for people."""

    values: dict[str, Any]
    show: Callable[[Console], None]
    exit_code: int = 0


def command(run: Callable[P, Result]) -> Callable[P, None]:
    """``run`` with its result on stdout and its errors as a sentence and an exit code."""

    @functools.wraps(run)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            with contextlib.redirect_stdout(sys.stderr):
                result = run(*args, **kwargs)
        except TinytailorError as error:
            _end(str(error), error.exit_code, as_json)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _end(f"{where}{error.strerror or error}", TinytailorError.exit_code, as_json)
        except KeyboardInterrupt as stop:
            _end(str(stop) or "interrupted; what was finished is kept", INTERRUPTED, as_json)
        if as_json:
            print(json.dumps(rounded(result.values)), flush=True)
        else:
            result.show(console_of(sys.stdout))
        if result.exit_code:
            raise typer.Exit(result.exit_code)

    return guarded


def rounded(values: Any) -> Any:
    """JSON values whose numbers have as many digits as can mean something: 0.3, where sums in
    binary give 0.30000000000000004."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [rounded(value) for value in values]
    if not isinstance(values, float) or _is_float32(values):
        return values
    return float(f"{values:.{DIGITS}g}")


def _is_float32(value: float) -> bool:
    """What was stored so, as scales are, is no sum and has no noise."""
    try:
        return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    except OverflowError:
        return False


def note(text: str) -> None:
    """A line for the person who watches, on stderr."""
    console_of(sys.stderr).print(text)


@contextlib.contextmanager
def doubts_told() -> Iterator[None]:
    """What the block warns of, as lines on stderr, at once."""

    def tell(message: Warning | str, *where: Any, **more: Any) -> None:
        note(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", Doubt)
        warnings.showwarning = tell
        yield


def report_error(message: str, code: int, as_json: bool) -> int:
    """The sentence on stderr, with ``as_json`` the object on stdout as well; ``code`` again."""
    note(f"error: {message}")
    if as_json:
        print(json.dumps({"error": message, "exit_code": code}), flush=True)
    return code


def _end(message: str, code: int, as_json: bool) -> NoReturn:
    raise typer.Exit(report_error(message, code, as_json)) from None


def console_of(file: TextIO) -> Console:
    """Where lines are printed as they are; only a terminal gets colours, and never what is piped,
    whatever the environment says."""
    terminal = file.isatty()
    return Console(
        file=file, markup=False, highlight=False, soft_wrap=True, force_terminal=terminal
    )
