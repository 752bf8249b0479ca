# SPDX-License-Identifier: Apache-2.0
"""Tables as lines of plain text: the first column is the key, whole in every line of a pipe.

    operator              cycles  code
    conv2d 1x6x6x8         10116   200      numbers to the right, two blanks between columns

Where a terminal is too narrow, columns of text are folded, the widest first; numbers stay whole,
and nothing is ever cut. Lines that are still too long are left to the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Container, Sequence

from rich.cells import cell_len
from rich.console import Console

GAP = "  "
LEAST = 16  # columns that a folded column keeps


def draw_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Container[int] = (),
    title: str = "",
) -> None:
    """``right``: the numbers of the columns that hold numbers; the others hold text."""
    width = console.width if console.is_terminal else None
    if title:
        console.print(title, style="italic")
    head = 1 if any(columns) else 0
    for number, line in enumerate(table_lines(columns, rows, right=right, width=width)):
        console.print(line, style="bold" if number < head else None)


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Container[int] = (),
    width: int | None = None,
) -> list[str]:
    """The head, if it says anything, and the rows; ``width``: of the terminal, None without one."""
    table = [*([columns] if any(columns) else []), *rows]
    widths = [max((cell_len(row[i]) for row in table), default=0) for i in range(len(columns))]
    if width is not None:
        widths = _narrowed(widths, [i for i in range(len(columns)) if i not in right], width)
    return [line for row in table for line in _row_lines(row, widths, right)]


def _narrowed(widths: Sequence[int], text: Sequence[int], width: int) -> list[int]:
    """Columns of ``text`` made narrower until a line fits, or until they have the least width."""
    found = list(widths)
    while sum(found) + len(GAP) * (len(found) - 1) > width:
        widest = max(text, key=lambda i: found[i], default=None)
        if widest is None or found[widest] <= LEAST:
            break
        found[widest] -= 1
    return found


def _row_lines(row: Sequence[str], widths: Sequence[int], right: Container[int]) -> list[str]:
    cells = [_folded(cell, size) for cell, size in zip(row, widths, strict=True)]
    lines = []
    for number in range(max(map(len, cells))):
        parts = []
        for i, (cell, size) in enumerate(zip(cells, widths, strict=True)):
            part = cell[number] if number < len(cell) else ""
            blanks = " " * (size - cell_len(part))
            parts.append(blanks + part if i in right else part + blanks)
        lines.append(GAP.join(parts).rstrip())
    return lines


def _folded(cell: str, size: int) -> list[str]:
    if cell_len(cell) <= size:
        return [cell]
    return textwrap.wrap(cell, size, break_on_hyphens=False) or [""]
