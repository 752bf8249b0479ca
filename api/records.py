# SPDX-License-Identifier: Apache-2.0
"""What verify, profile and search return. ``to_json`` is the object that the command of the same
name prints with --json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinytailor.cli.output import rounded

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verification:
    """A project beside the integer graph of its model.

    ``on``: host, emulator, qemu, serial:PORT or csim. ``bit_exact``: no element of ``samples``
    outputs differs, nor one of the quantized inputs. ``accuracy`` and ``scores`` (confusion,
    per_class, macro_f1 and more, as in report.json) where there were labels, else None. ``part``:
    which rows of the data of the search these are, "" if it is not known. ``warnings``: on inputs
    that look wrong.
    """

    name: str
    target: str
    on: str
    samples: int
    bit_exact: bool
    differing_elements: int
    accuracy: float | None
    scores: Values | None
    part: str
    warnings: tuple[str, ...]
    values: Values = field(repr=False)

    @classmethod
    def of(cls, values: Values) -> Verification:
        return cls(
            name=values["name"],
            target=values["target"],
            on=values["on"],
            samples=values["samples"],
            bit_exact=values["bit_exact"],
            differing_elements=values["differing_elements"] + values["differing_inputs"],
            accuracy=values.get("accuracy"),
            scores=values.get("scores"),
            part=values.get("part", ""),
            warnings=tuple(values.get("warnings", ())),
            values=values,
        )

    def to_json(self) -> dict[str, Any]:
        return dict(rounded(self.values))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a profile; ``variant`` is the kernel that computes it. Times are modelled, None
    where the core has no cycle model."""

    name: str
    op: str
    variant: str
    out_shape: tuple[int, ...]
    macs: int
    instructions: int
    cycles: int | None
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """What one inference of a project costs.

    Sizes in bytes: ``ram_bytes`` is arena, buffers and worst-case stack, ``flash_bytes`` code and
    constants. ``instructions`` are counted on the emulated core (``on``: emulator or qemu),
    ``cycles``, ``latency_ms`` and ``energy_uj`` are modelled from them; None where there is no
    model. ``trust`` says what the modelled time is worth. ``measured``: what a board at a serial
    port took, and ``usage``: what a period and a battery make of it, where they were asked for.
    """

    name: str
    target: str
    on: str
    latency_ms: float | None
    energy_uj: float | None
    cycles: int | None
    instructions: int
    macs: int
    arena_bytes: int
    ram_bytes: int
    flash_bytes: int
    stack_bytes: int
    bit_exact: bool
    trust: str
    layers: tuple[Layer, ...] = field(repr=False)
    measured: Values | None = field(repr=False)
    usage: Values | None = field(repr=False)
    values: Values = field(repr=False)

    @classmethod
    def of(cls, values: Values) -> Profile:
        provenance = values["provenance"]
        return cls(
            name=values["name"],
            target=values["target"],
            on=provenance["runner"],
            latency_ms=values["latency_ms"],
            energy_uj=values["energy_uj"],
            cycles=values["cycles"],
            instructions=values["instructions"],
            macs=values["macs"],
            arena_bytes=values["arena_bytes"],
            ram_bytes=values["ram_bytes"],
            flash_bytes=values["flash_bytes"],
            stack_bytes=values["stack_bytes"],
            bit_exact=values["bit_exact"],
            trust=provenance["board_trust"],
            layers=tuple(_layer(layer) for layer in values["layers"]),
            measured=values.get("measured"),
            usage=values.get("usage"),
            values=values,
        )

    def to_json(self) -> dict[str, Any]:
        return dict(rounded(self.values))


def _layer(values: Values) -> Layer:
    return Layer(
        name=values["name"],
        op=values["op"],
        variant=values["variant"],
        out_shape=tuple(values["out_shape"]),
        macs=values["macs"],
        instructions=values["instructions"],
        cycles=values["cycles"],
        latency_ms=values["latency_ms"],
    )
