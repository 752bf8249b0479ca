# SPDX-License-Identifier: Apache-2.0
"""What a report says, as plain data: tables of text, and the numbers that a budget can limit.

A back end turns manifests into these; the command line draws them or writes them as Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and a table; the first column is left-aligned, the others right unless ``text``."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    text: bool = False


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a manifest that networks are compared by; ``form`` writes it with its unit.

    ``unknown`` stands where the number is None, which says why nobody knows it.
    """

    title: str
    key: str
    form: str
    unknown: str = "unknown"

    def text(self, value: float | None) -> str:
        return self.unknown if value is None else self.form.format(value)


def macs_text(macs: int) -> str:
    """Multiply-accumulates with a unit that shows them: 2.66 MMAC, 3456 MAC."""
    return f"{macs / 1e6:.2f} MMAC" if macs >= 1e5 else f"{macs} MAC"
