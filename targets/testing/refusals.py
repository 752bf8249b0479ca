# SPDX-License-Identifier: Apache-2.0
"""Errors that are wanted: of the right class, and with a sentence that says what it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refused(error: type[Exception], pattern: str) -> Iterator[None]:
    """AssertionError unless the block ends in ``error`` with a text like ``pattern``."""
    text = None
    try:
        yield
    except error as raised:
        text = str(raised)
    wanted = f"expected {error.__name__} with {pattern!r}"
    assert text is not None, f"{wanted}, and nothing was refused"
    assert re.search(pattern, text), f"{wanted}, got: {text}"
