# SPDX-License-Identifier: Apache-2.0
"""What a network may cost, and the units a user writes it in.

latency   10ms  500us  1.5s           a bare number is refused: 10 what?
memory    24KiB (1024)  48kB (1000)  1MiB  65536 (bytes)
energy    500uJ  1.5mJ  800nJ
period    1s  500ms  10min  1h
time      20m  90s  1h                 of a whole job
power     20uW  4.7mW
battery   220mAh@3V  1.2Ah@3.7V
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinytailor.targets import Battery
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.latency_tables.cost import Cost

MS_PER_UNIT = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
MS_PER_LONG_UNIT = {**MS_PER_UNIT, "min": 60e3, "h": 3600e3}
MS_PER_DURATION = {**MS_PER_LONG_UNIT, "m": 60e3}
UJ_PER_UNIT = {"nJ": 1e-3, "uJ": 1.0, "µJ": 1.0, "mJ": 1e3, "J": 1e6}
MW_PER_UNIT = {"nW": 1e-6, "uW": 1e-3, "µW": 1e-3, "mW": 1.0, "W": 1e3}
MAH_PER_UNIT = {"mAh": 1.0, "Ah": 1e3}
BYTES_PER_UNIT = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Zµ]*)\s*")


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits, inclusive; ``None`` is no limit.

    An energy is that of one board while it draws ``active_mw``, and so a limit of the time.
    """

    latency_ms: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    energy_uj: float | None = None
    active_mw: float | None = None

    def __post_init__(self) -> None:
        for name in ("latency_ms", "ram_bytes", "flash_bytes", "energy_uj", "active_mw"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"budget {name} must be positive, got {value}")
        if self.energy_uj is not None and self.active_mw is None:
            raise InputError("budget energy_uj needs active_mw, the power of the board")

    @property
    def energy_ms(self) -> float | None:
        """The time in which the energy is spent."""
        if self.energy_uj is None or self.active_mw is None:
            return None
        return self.energy_uj / self.active_mw

    @property
    def time_ms(self) -> float | None:
        """The tighter of the limits of latency and energy."""
        limits = [limit for limit in (self.latency_ms, self.energy_ms) if limit is not None]
        return min(limits, default=None)

    def to_json(self) -> dict[str, float | int | None]:
        """The limits by the name of what they limit."""
        names = ("latency_ms", "ram_bytes", "flash_bytes", "energy_uj")
        return {name: getattr(self, name) for name in names}

    def excess(self, cost: Cost) -> dict[str, float]:
        """How far ``cost`` is over each limit that it breaks, as cost / limit; empty if it fits."""
        pairs = {
            "latency_ms": (cost.latency_ms, self.latency_ms),
            "ram_bytes": (cost.ram_bytes, self.ram_bytes),
            "flash_bytes": (cost.flash_bytes, self.flash_bytes),
            "energy_uj": (cost.latency_ms * (self.active_mw or 0.0), self.energy_uj),
        }
        return {
            name: value / limit
            for name, (value, limit) in pairs.items()
            if limit is not None and value > limit
        }

    def admits(self, cost: Cost) -> bool:
        return not self.excess(cost)


def _split(text: str, what: str, example: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InputError(f"{what} {text!r} is not a number with a unit; write it like {example}")
    return float(match[1]), match[2]


def _parse(text: str, what: str, units: Mapping[str, float], example: str) -> float:
    """A positive number with one of ``units``, in the unit that counts 1."""
    value, unit = _split(text, what, example)
    if unit not in units:
        got = f"unit {unit!r}" if unit else "no unit"
        raise InputError(f"{what} {text!r} has {got}; write it like {example}")
    if value <= 0:
        raise InputError(f"{what} {text!r} must be more than 0")
    return round(value * units[unit], 9)  # 700 times the double next to 0.001 is not 0.7


def parse_latency(text: str) -> float:
    """``"10ms"`` to milliseconds; InputError unless a positive number with us, ms or s."""
    return _parse(text, "latency", MS_PER_UNIT, "10ms, 500us or 1.5s")


def parse_period(text: str) -> float:
    """``"10min"`` to milliseconds; as a latency, also with min and h."""
    return _parse(text, "period", MS_PER_LONG_UNIT, "1s, 500ms, 10min or 1h")


def parse_duration(text: str) -> float:
    """``"20m"`` to seconds; as a period, and m for minutes."""
    return _parse(text, "time", MS_PER_DURATION, "20m, 90s or 1h") / 1e3


def parse_energy(text: str) -> float:
    """``"1.5mJ"`` to microjoules; InputError unless a positive number with nJ, uJ, mJ or J."""
    return _parse(text, "energy", UJ_PER_UNIT, "500uJ, 1.5mJ or 800nJ")


def parse_power(text: str) -> float:
    """``"20uW"`` to milliwatts; InputError unless a positive number with nW, uW, mW or W."""
    return _parse(text, "power", MW_PER_UNIT, "20uW or 4.7mW")


def parse_battery(text: str) -> Battery:
    """``"220mAh@3V"``; InputError unless a capacity in mAh or Ah and a voltage."""
    example = "220mAh@3V or 1.2Ah@3.7V"
    capacity, at, volts = text.partition("@")
    if not at:
        raise InputError(f"battery {text!r} has no voltage; write it like {example}")
    mah = _parse(capacity, "battery", MAH_PER_UNIT, example)
    return Battery(mah, _parse(volts, "battery voltage", {"V": 1.0}, example))


def parse_bytes(text: str) -> int:
    """``"24KiB"`` to bytes; kB and MB are powers of 1000, KiB and MiB of 1024, no unit is bytes."""
    value, unit = _split(text, "size", "64KiB, 48kB or 65536")
    factor = BYTES_PER_UNIT.get(unit.lower())
    if factor is None:
        raise InputError(
            f"size {text!r} has unknown unit {unit!r}; write it like 64KiB, 48kB, 1MiB or 65536"
        )
    size = value * factor
    if size <= 0 or size != int(size):
        raise InputError(f"size {text!r} must be a positive whole number of bytes")
    return int(size)
