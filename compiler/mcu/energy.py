# SPDX-License-Identifier: Apache-2.0
"""The energy of an inference in a manifest: its modelled time, times the power of a supply.

    energy_uj = active_mw * latency_ms      None where no power is published, or time is unknown

and what a battery makes of it, where somebody says how often the network runs (``usage``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinytailor.compiler.sections import Section
from tinytailor.targets import Board, EnergyModel, Usage, duty_cycle

NOT_INCLUDED = (
    "what falls asleep and wakes up",
    "sensors and radio",
    "losses of a regulator before the board",
    "self-discharge of the battery",
)
DAYS_PER_YEAR = 365.25


def energy_record(board: Board, latency_ms: float | None, supply: str | None) -> dict[str, Any]:
    """``energy_uj``, and under ``energy`` what it is from.

    ``supply`` None: the default one of the board, if it has any.
    """
    if supply is None and not board.energy:
        return _unknown("no power of this board is published")
    power = board.power(supply)
    if latency_ms is None:
        return _unknown(f"no cycle model of {board.core.name}")
    return {
        "energy_uj": power.energy_uj(latency_ms),
        "energy": {
            "supply": power.name,
            "active_mw": power.active_mw,
            "calibrated": power.calibrated,
            "text": sentence(power),
            "source": power.source,
        },
    }


def powered(board: Board, usage: Usage) -> EnergyModel:
    """The power of the board as it is used."""
    power = board.power(usage.supply)
    if usage.idle_mw is None:
        return power
    return replace(power, idle_mw=usage.idle_mw, idle_source="as it was given")


def usage_record(board: Board, manifest: Mapping[str, Any], usage: Usage) -> dict[str, Any] | None:
    """Mean power of one inference a period, and how long the battery lasts; None: no period."""
    if usage.period_ms is None:
        return None
    power, battery = powered(board, usage), usage.battery
    cycle = duty_cycle(board.name, power, manifest["latency_ms"], usage.period_ms)
    missing = list(NOT_INCLUDED)
    if battery is not None and battery.volts != power.volts:
        missing.append(f"a converter from {battery.volts:g} V to {power.volts:g} V")
    return {
        "period_ms": usage.period_ms,
        "supply": power.name,
        "duty": cycle.share,
        "active_mw": power.active_mw,
        "idle_mw": cycle.idle_mw,
        "mean_mw": cycle.mean_mw,
        "battery_mah": None if battery is None else battery.mah,
        "battery_volts": None if battery is None else battery.volts,
        "battery_days": None if battery is None else cycle.days(battery),
        "error": f"time: {manifest['provenance']['board_trust']}; power while it computes: "
        f"{power.trust}; power while it waits: {power.idle_source}",
        "not_included": missing,
    }


def usage_section(usage: Mapping[str, Any]) -> Section:
    rows = [
        ("computes", f"{100 * usage['duty']:.3g} % of the time, {usage['active_mw']:g} mW"),
        ("waits", f"the rest, {usage['idle_mw']:g} mW"),
        ("mean power", f"{usage['mean_mw']:.4g} mW"),
    ]
    if usage["battery_days"] is not None:
        battery = f"{usage['battery_mah']:g} mAh at {usage['battery_volts']:g} V"
        rows.append(("battery life", f"{span(usage['battery_days'])} from {battery}"))
    rows += [("error", usage["error"]), ("not included", "; ".join(usage["not_included"]))]
    period = f"{usage['period_ms'] / 1e3:g} s"
    title = f"One inference every {period}, modelled, supply {usage['supply']}"
    return Section(title, ("", ""), rows)


def span(days: float) -> str:
    """Three figures of hours up to two days, of days up to two years, then of years."""
    if days < 2:
        return f"{24 * days:.3g} hours"
    years = days / DAYS_PER_YEAR
    return f"{days:.3g} days" if years < 2 else f"{years:.3g} years"


def sentence(power: EnergyModel) -> str:
    return (
        f"modelled: the modelled latency at {power.active_mw:g} mW ({power.supply}); "
        f"power {power.trust}"
    )


def _unknown(why: str) -> dict[str, Any]:
    none = {"supply": None, "active_mw": None, "calibrated": False, "source": ""}
    return {"energy_uj": None, "energy": {**none, "text": f"unknown: {why}"}}
