# SPDX-License-Identifier: Apache-2.0
"""What each layer takes: time, memory in use while it runs, and constants in flash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.arena import bytes_in_use
from tinytailor.cli.report_page.devices import Device
from tinytailor.cli.report_page.drawing import draw, percent
from tinytailor.compiler.mcu.arena_chart import arena_rows

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Layer:
    """``index``: its place in the graph, as in the arena.

    ``work``: milliseconds, or instructions where the core has no cycle model; ``share`` of all.

    ``arena_bytes`` are in use while it runs; None where a back end has no arena.
    """

    index: int
    name: str
    operator: str
    shape: tuple[int, ...]
    macs: int
    work: float
    share: float
    arena_bytes: int | None
    constant_bytes: int | None


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """``unit`` of the work; ``between``: the work of calling the layers."""

    unit: str
    layers: tuple[Layer, ...]
    between: float
    total: float

    @property
    def has_memory(self) -> bool:
        return all(layer.arena_bytes is not None for layer in self.layers)


def layer_costs(device: Device) -> LayerCosts | None:
    profile = device.profile
    if not profile["layers"]:
        return None
    timed = all(layer["latency_ms"] is not None for layer in profile["layers"])
    key, unit = ("latency_ms", "ms") if timed else ("instructions", "instructions")
    work, total = [layer[key] for layer in profile["layers"]], profile[key]
    return LayerCosts(
        unit,
        tuple(
            _layer(profile, index, record, amount, amount / (total or 1))
            for index, (record, amount) in enumerate(zip(profile["layers"], work, strict=True))
        ),
        max(total - sum(work), 0),
        total,
    )


def draw_layers(data: LayerCosts) -> Markup:
    slowest = max(data.layers, key=lambda layer: layer.share)
    of = "time" if data.unit == "ms" else data.unit
    most = f"{slowest.name} ({slowest.operator}) takes most: {percent(slowest.share)} of the {of}."
    return draw(
        "layers.html",
        costs=data,
        sentence=most,
        slowest=slowest.share,
        fullest=max(layer.arena_bytes or 0 for layer in data.layers),
        largest=max(layer.constant_bytes or 0 for layer in data.layers),
    )


def _layer(
    profile: Mapping[str, Any],
    position: int,
    record: Mapping[str, Any],
    work: float,
    share: float,
) -> Layer:
    return Layer(
        record["index"] if "arena" in profile else position,
        record["name"],
        record["op"],
        tuple(record["out_shape"]),
        record["macs"],
        work,
        share,
        bytes_in_use(arena_rows(profile), record["index"]) if "arena" in profile else None,
        record.get("constant_bytes"),
    )
