# SPDX-License-Identifier: Apache-2.0
"""Tables that several commands print: layers, sizes against a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def kib(size: float) -> str:
    return f"{size / 1024:.1f} KiB"


def layers_table(layers: Sequence[Mapping[str, Any]]) -> Table:
    """One row a layer of a profile: work, time, share of the whole, efficiency."""
    table = Table("#", "layer", "operator", "output", box=None)
    for title in ("kMAC", "cycles", "ms", "%", "cycles/MAC", "flash read"):
        table.add_column(title, justify="right")
    total = sum(layer["cycles"] for layer in layers) or 1
    for number, layer in enumerate(layers):
        macs = layer["macs"]
        table.add_row(
            str(number),
            layer["name"],
            layer["op"],
            "x".join(map(str, layer["out_shape"])),
            f"{macs / 1e3:.1f}",
            f"{layer['cycles']:.0f}",
            f"{layer['latency_ms']:.3f}",
            f"{100 * layer['cycles'] / total:.1f}",
            f"{layer['cycles'] / macs:.2f}" if macs else "",
            str(layer["flash_read_bytes"]),
        )
    return table


def budget_table(rows: Sequence[tuple[str, str, str, str]]) -> Table:
    """(what, predicted, of the emitted project, limit) lines."""
    table = Table("", box=None)
    for title in ("predicted", "emitted project", "budget"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
