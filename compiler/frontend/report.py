# SPDX-License-Identifier: Apache-2.0
"""What cannot be imported, all of it in one error, and silence from the libraries below:

2 operators have no integer form:
  GridSample  node /head/warp      (opset 16)
  Erf         node /block3/gelu/1  (opset 13): replace GELU by ReLU
nothing was written.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tinytailor.targets.errors import InputError

Built = TypeVar("Built")
ALLOW_FLOAT = "--allow-float compiles it in float"
QUANTIZE_FIRST = (
    "is a float model: give samples of its inputs with --calibration X.npz (in Python: "
    "load_model(path, calibration=...)), and it is quantized to int8"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """An operator of the model file: its type, "node /head/warp" or "tensor ...", "(opset 16)"."""

    operator: str
    place: str
    detail: str = ""
    label: str = ""  # what graph nodes are named after


def place(kind: str, name: str) -> str:
    """Where an operator is; of TFLite's names joined with ";" the first stands for all."""
    return f"{kind} {name.split(';')[0]}"


@dataclass(frozen=True, slots=True)
class Unsupported:
    origin: Origin
    hint: str = ""


class UnsupportedError(InputError):
    """The one error for all operators that stand in the way."""

    def __init__(self, text: str, items: Sequence[Unsupported]) -> None:
        super().__init__(text)
        self.items = items


class Declined(Exception):  # noqa: N818 - not an error yet: it becomes one line of the report
    """Raised by a rule that does not apply, with the reason and perhaps whose it is."""

    def __init__(self, reason: str, origin: Origin | None = None) -> None:
        super().__init__(reason)
        self.origin = origin


def unsupported_error(found: Sequence[Unsupported]) -> UnsupportedError:
    """One error for every operator in ``found``, each operator of the file once."""
    lines: dict[tuple[str, str], Unsupported] = {}
    for item in found:
        lines.setdefault((item.origin.operator, item.origin.place), item)
    items = list(lines.values())
    kind = max(len(item.origin.operator) for item in items)
    place = max(len(item.origin.place) for item in items)
    count = "1 operator has" if len(items) == 1 else f"{len(items)} operators have"
    text = [f"{count} no integer form:"]
    for item in items:
        origin = item.origin
        line = f"  {origin.operator:<{kind}}  {origin.place:<{place}}  {origin.detail}".rstrip()
        text.append(f"{line}: {item.hint}" if item.hint else line)
    return UnsupportedError("\n".join([*text, "nothing was written."]), items)


def with_float_hints(error: UnsupportedError, left: Sequence[Unsupported]) -> UnsupportedError:
    """``error`` with a hint at every operator that is not among those ``left`` with floats."""
    refused = {(item.origin.operator, item.origin.place) for item in left}
    items = []
    for item in error.items:
        if (item.origin.operator, item.origin.place) not in refused:
            hint = f"{item.hint}; {ALLOW_FLOAT}" if item.hint else ALLOW_FLOAT
            item = Unsupported(item.origin, hint)
        items.append(item)
    return unsupported_error(items)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TVM prints failed conversions from Python and from C++: hold both back for a moment."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        sink = stack.enter_context(tempfile.TemporaryFile("w"))
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        try:
            saved = os.dup(2)
        except OSError:  # no standard error at all: nothing to hold back
            yield
            return
        stack.callback(os.close, saved)
        os.dup2(sink.fileno(), 2)
        stack.callback(os.dup2, saved, 2)
        yield


def attempt(build: Callable[[], Built]) -> tuple[Built | None, str]:
    """(what ``build`` returns, "") or (None, why it failed), in silence.

    Objects in the frames of the exception print when they die, some of them in cycles: collect
    them before the silence ends.
    """
    with quiet():
        try:
            return build(), ""
        except Exception as error:
            failure = first_line(error)
        gc.collect()
    return None, failure


def first_line(error: BaseException) -> str:
    """The message of a library's exception in one line, without its traceback."""
    if isinstance(error, KeyError):
        return f"there is no {error}"[:200]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    useful = [line for line in lines if not line.startswith(("Traceback", "File ", "---"))]
    return (useful or [type(error).__name__])[-1][:200]
