# SPDX-License-Identifier: Apache-2.0
"""The layers of a profile as rows of text: work, time, share, efficiency, reads from flash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LAYER_COLUMNS = (
    "layer",
    "operator",
    "output",
    "kMAC",
    "instructions",
    "cycles",
    "ms",
    "% of layers",
    "cycles/MAC",
    "flash read B",
)


def layer_rows(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row a layer; times are empty where the core has no cycle model."""
    total = sum(layer["cycles"] or 0 for layer in layers) or 1
    return [
        (
            layer["name"],
            layer["op"],
            "x".join(map(str, layer["out_shape"])),
            f"{layer['macs'] / 1e3:.1f}",
            str(layer["instructions"]),
            *_times(layer, total),
            str(layer["flash_read_bytes"]),
        )
        for layer in layers
    ]


def _times(layer: Mapping[str, Any], total: float) -> tuple[str, str, str, str]:
    cycles = layer["cycles"]
    if cycles is None:
        return "", "", "", ""
    return (
        f"{cycles:.0f}",
        f"{layer['latency_ms']:.3f}",
        f"{100 * cycles / total:.1f}",
        f"{cycles / layer['macs']:.2f}" if layer["macs"] else "",
    )
