# SPDX-License-Identifier: Apache-2.0
"""What people read of a project for a microcontroller: its manifest as lines and tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinytailor.compiler.mcu.arena_chart import arena_section
from tinytailor.compiler.mcu.energy import usage_section
from tinytailor.compiler.sections import Quantity, Section, macs_text
from tinytailor.targets import board_on, called

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


def summary(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What a new project takes, and what it computes in float."""
    where = board_on("board", manifest["provenance"]["runner"])
    sizes = (
        f"arena {manifest['arena_bytes']} B, RAM {manifest['ram_bytes']} B, "
        f"flash {manifest['flash_bytes']} B, {macs_text(manifest['macs'])}, "
        f"{_time(manifest)} on the {where}"
    )
    warnings = (
        f"warning: in float: {layer['name']} ({', '.join(layer['operators'])})"
        for layer in manifest["float_layers"]
    )
    return sizes, *warnings


def _time(manifest: Mapping[str, Any]) -> str:
    if manifest["latency_ms"] is None:
        return f"{manifest['instructions']} instructions (no cycle model)"
    trust = manifest["provenance"]["board_trust"]
    return f"{manifest['latency_ms']:.3f} ms (modelled{_between(manifest)}; {trust})"


def _between(manifest: Mapping[str, Any]) -> str:
    """The range of the time where two sets of constants are possible."""
    between = manifest.get("latency_range_ms")
    return "" if between is None else f", from {between[0]:.3f} to {between[1]:.3f} ms"


def quantities(manifest: Mapping[str, Any]) -> tuple[Quantity, ...]:
    return (
        Quantity(_latency_title(manifest), "latency_ms", "{:.3f} ms", "no cycle model"),
        Quantity(_energy_title(manifest), "energy_uj", "{:.1f} uJ"),
        Quantity("arena", "arena_bytes", "{:d} B"),
        Quantity("RAM (arena, buffers, stack)", "ram_bytes", "{:d} B"),
        Quantity("flash (code, constants)", "flash_bytes", "{:d} B"),
    )


def sections(manifest: Mapping[str, Any]) -> list[Section]:
    first = [*_measured(manifest), _sizes(manifest), *_in_float(manifest)]
    return [*first, arena_section(manifest), *details(manifest)]


def _sizes(manifest: Mapping[str, Any]) -> Section:
    cycles, text = manifest["cycles"], manifest["energy"]["text"]
    shown = [(q.title, q.text(manifest[q.key])) for q in quantities(manifest)]
    latency, energy, *memory = shown
    rows = [
        latency,
        energy if manifest["energy_uj"] is not None else (energy[0], text),
        ("cycles", "no cycle model" if cycles is None else f"{cycles:.0f}"),
        ("instructions", str(manifest["instructions"])),
        *memory,
        ("multiply-accumulates", str(manifest["macs"])),
        ("bit-exact", "yes" if manifest["bit_exact"] else "NO"),
    ]
    return Section(f"{manifest['name']} on {manifest['target']}", ("", "emitted project"), rows)


def _measured(manifest: Mapping[str, Any]) -> list[Section]:
    """What a board at a serial port took, if there was one; cycles of QEMU are no time."""
    found = manifest.get("measured")
    if found is None:
        return []
    if found["simulated"]:
        rows = [("latency", "none: QEMU's cycles are no time")]
    else:
        low, high = found["latency_ms_least"], found["latency_ms_most"]
        rows = [
            ("latency, median", f"{found['latency_ms']:.3f} ms (from {low:.3f} to {high:.3f})"),
            ("cycles, median", f"{found['cycles']} at {found['clock_hz'] / 1e6:g} MHz"),
            ("counted by", f"{found['counter']}, {found['repeats']} runs"),
        ]
    rows.append(("outputs bit-exact", "yes" if found["bit_exact"] else "NO"))
    did = "Run" if found["simulated"] else "Measured"
    return [Section(f"{did} on {found['on']}", ("", ""), rows)]


def _in_float(manifest: Mapping[str, Any]) -> list[Section]:
    """Layers without an integer form, if there are any."""
    rows = [(f["name"], ", ".join(f["operators"])) for f in manifest.get("float_layers", ())]
    return [Section("Computed in float", ("layer", "operators"), rows, text=True)] if rows else []


def details(manifest: Mapping[str, Any]) -> list[Section]:
    provenance = manifest["provenance"]
    return [
        *([usage_section(manifest["usage"])] if manifest.get("usage") else []),
        Section("Layers", LAYER_COLUMNS, layer_rows(manifest["layers"])),
        Section(
            "Where the numbers come from",
            ("", ""),
            [
                ("instructions", f"{provenance['instructions']} by {called(provenance['runner'])}"),
                ("latency", provenance["latency"]),
                ("board constants", f"{provenance['board_trust']}; {provenance['board_model']}"),
                ("energy", _energy_source(manifest["energy"])),
                ("C compiler", f"{provenance['toolchain']} {provenance['flags']}"),
            ],
        ),
    ]


def _latency_title(manifest: Mapping[str, Any]) -> str:
    """The name of the row of the time; what it can be trusted for stands under the layers.

    The range is of times where two sets of constants are possible.
    """
    provenance = manifest["provenance"]
    how = "in QEMU" if provenance["runner"] == "qemu" else "emulated"
    known = manifest["latency_ms"] is None or provenance["board_calibrated"]
    return f"latency ({how}, modelled{'' if known else ', uncalibrated'}{_between(manifest)})"


def _energy_title(manifest: Mapping[str, Any]) -> str:
    """Modelled for the energy of the modelled time, from a power that may be a guess itself."""
    energy = manifest["energy"]
    if manifest["energy_uj"] is None:
        return "energy"
    guessed = "" if energy["calibrated"] else ", uncalibrated"
    return f"energy (modelled{guessed}, supply {energy['supply']})"


def _energy_source(energy: Mapping[str, Any]) -> str:
    return "; ".join(part for part in (energy["text"], energy["source"]) if part)
