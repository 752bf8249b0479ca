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
    "cycles",
    "ms",
    "% of layers",
    "cycles/MAC",
    "flash read B",
)


def layer_rows(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    total = sum(layer["cycles"] for layer in layers) or 1
    return [
        (
            layer["name"],
            layer["op"],
            "x".join(map(str, layer["out_shape"])),
            f"{layer['macs'] / 1e3:.1f}",
            f"{layer['cycles']:.0f}",
            f"{layer['latency_ms']:.3f}",
            f"{100 * layer['cycles'] / total:.1f}",
            f"{layer['cycles'] / layer['macs']:.2f}" if layer["macs"] else "",
            str(layer["flash_read_bytes"]),
        )
        for layer in layers
    ]
