# SPDX-License-Identifier: Apache-2.0
"""Comments of the emitted C: names made safe for them, and where in the arena what lies."""

from __future__ import annotations

import re

from tinytailor.compiler.memory.plan import Buffer, MemoryPlan

_END_OR_START = re.compile(r"(?<=\*)/|(?<=/)\*")  # neither may stand in a C comment


def comment_text(text: str) -> str:
    """``text`` from a model file as it may stand in a C comment: one line of plain ASCII."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return _END_OR_START.sub("?", plain).replace("??", "? ").rstrip("\\ ")


def arena_table(plan: MemoryPlan) -> list[str]:
    """Rows ``layers  offset  bytes  contents`` in the order of execution, under a head of names."""
    head = ("layers", "offset", "bytes", "contents")
    rows = [
        (_layers(b), str(plan.start(b)), str(b.bytes), comment_text(b.name))
        for b in sorted(plan.buffers, key=lambda b: (b.first, plan.start(b), b.last))
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(3)]
    return [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in (head, *rows)
    ]


def _layers(buffer: Buffer) -> str:
    """The layers, as numbered in the names of their functions, during which a buffer lives."""
    if buffer.first == buffer.last:
        return f"{buffer.first:02d}"
    return f"{buffer.first:02d}-{buffer.last:02d}"
