# SPDX-License-Identifier: Apache-2.0
"""The arena over time: which bytes hold what while which layer runs.

``arena_rows`` is the data, ``arena_section`` the drawing: one row a buffer from low offsets to
high, one column a layer, numbered as in the names of the emitted functions.

    offset  bytes  layers  over time     contents
         0     64   00-01  ##...         a
        64     32   01-03  .###.         c
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinytailor.compiler.sections import Section

WIDEST = 72  # columns of the drawing; longer networks have several layers in one


@dataclass(frozen=True, slots=True)
class ArenaRow:
    """A buffer of ``bytes`` at ``offset``, alive from layer ``first`` to layer ``last``.

    ``scratch``: a kernel works in it, and no tensor lies there.
    """

    offset: int
    bytes: int
    first: int
    last: int
    contents: tuple[str, ...]
    scratch: bool = False


def arena_rows(manifest: Mapping[str, Any]) -> list[ArenaRow]:
    """The buffers of a project's arena, from low offsets to high."""
    rows = [
        ArenaRow(
            record["offset"],
            record["bytes"],
            record["first"],
            record["last"],
            tuple(record["tensors"] or [record["name"]]),
            not record["tensors"],
        )
        for record in manifest["arena"]
    ]
    return sorted(rows, key=lambda row: (row.offset, row.first))


def arena_section(manifest: Mapping[str, Any]) -> Section:
    rows = arena_rows(manifest)
    layers = max((row.last for row in rows), default=0) + 1
    step = -(-layers // WIDEST)
    return Section(
        f"Arena: {manifest['arena_bytes']} B, {verdict(manifest)}",
        ("offset", "bytes", "layers", "over time", "contents"),
        [
            (
                str(row.offset),
                str(row.bytes),
                f"{row.first:02d}-{row.last:02d}",
                bar(row, layers, step),
                ", ".join(row.contents),
            )
            for row in rows
        ],
        text=True,
    )


def bar(row: ArenaRow, layers: int, step: int) -> str:
    """A # for every column of ``step`` layers in which the buffer is alive."""
    spans: Sequence[range] = [range(start, start + step) for start in range(0, layers, step)]
    return "".join("#" if row.first <= span[-1] and span[0] <= row.last else "." for span in spans)


def verdict(manifest: Mapping[str, Any]) -> str:
    """How good the plan is: proven the least, or how far it can be from that."""
    if manifest["arena_optimal"]:
        return "proven the least for these buffers"
    bound = manifest["arena_lower_bound_bytes"]
    over = 100 * (manifest["arena_bytes"] / bound - 1) if bound else 0.0
    return f"at most {over:.1f} % above the least, which is {bound} B or more"
