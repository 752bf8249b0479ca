# SPDX-License-Identifier: Apache-2.0
"""Silence from the libraries below, and their failures in one line."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

Built = TypeVar("Built")


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
