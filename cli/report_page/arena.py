# SPDX-License-Identifier: Apache-2.0
"""The arena over time, as a map: to the right the layers, upwards the bytes.

    104           +----+
        |    +----+----+----+      a box is a buffer: as wide as it lives,
     64 +----+----+    c    |      as high as it is large
        |    a    +---------+
      0 +---------+----------
         0    1    2    3          layers

Boxes may lie over each other: a layer can write where the input lies that it has read already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinytailor.cli.report_page.chart import byte_ticks, ticks
from tinytailor.cli.report_page.devices import Device
from tinytailor.cli.report_page.drawing import draw, listed
from tinytailor.compiler.mcu.arena_chart import ArenaRow, arena_rows, verdict

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Arena:
    """``used``: bytes of the buffers alive while each layer runs."""

    bytes: int
    verdict: str
    buffers: tuple[ArenaRow, ...]
    used: tuple[int, ...]

    @property
    def fullest(self) -> tuple[int, ...]:
        """The layers that run while most bytes are in use."""
        most = max(self.used)
        return tuple(layer for layer, count in enumerate(self.used) if count == most)


def arena(device: Device) -> Arena | None:
    """None where a back end has no arena, or the network needs none."""
    if not device.profile.get("arena"):
        return None
    rows = tuple(arena_rows(device.profile))
    layers = 1 + max(
        *(row.last for row in rows), *(layer["index"] for layer in device.profile["layers"])
    )
    used = tuple(bytes_in_use(rows, layer) for layer in range(layers))
    return Arena(device.profile["arena_bytes"], verdict(device.profile), rows, used)


def bytes_in_use(rows: Sequence[ArenaRow], layer: int) -> int:
    """Bytes that hold something while ``layer`` runs, each counted once."""
    total = end = 0
    for row in sorted(rows, key=lambda row: row.offset):
        if row.first <= layer <= row.last:
            total += max(row.offset + row.bytes - max(end, row.offset), 0)
            end = max(end, row.offset + row.bytes)
    return total


def draw_arena(data: Arena) -> Markup:
    layers = len(data.used)
    names = [f"layer {layer}" for layer in data.fullest]
    sentence = (
        f"{data.bytes} B, {data.verdict}. Most bytes are in use while {listed(names)} "
        f"run{'s' if len(names) == 1 else ''}: {max(data.used)} B."
    )
    return draw(
        "arena.html",
        arena=data,
        sentence=sentence,
        layers=layers,
        columns=[layer for layer in ticks(layers - 1, 10) if layer == int(layer)],
        levels=byte_ticks(data.bytes, 4),
    )
