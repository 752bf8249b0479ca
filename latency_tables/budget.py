# SPDX-License-Identifier: Apache-2.0
"""What a network may cost, and the units a user writes it in.

latency   10ms  500us  1.5s           a bare number is refused: 10 what?
memory    24KiB (1024)  48kB (1000)  1MiB  65536 (bytes)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.latency_tables.cost import Cost

MS_PER_UNIT = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
BYTES_PER_UNIT = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Zµ]*)\s*")


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits, inclusive; ``None`` is no limit."""

    latency_ms: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("latency_ms", "ram_bytes", "flash_bytes"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"budget {name} must be positive, got {value}")

    def excess(self, cost: Cost) -> dict[str, float]:
        """How far ``cost`` is over each limit that it breaks, as cost / limit; empty if it fits."""
        pairs = {
            "latency_ms": (cost.latency_ms, self.latency_ms),
            "ram_bytes": (cost.ram_bytes, self.ram_bytes),
            "flash_bytes": (cost.flash_bytes, self.flash_bytes),
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


def parse_latency(text: str) -> float:
    """``"10ms"`` to milliseconds; InputError unless a positive number with us, ms or s."""
    value, unit = _split(text, "latency", "10ms, 500us or 1.5s")
    if unit not in MS_PER_UNIT:
        got = f"unit {unit!r}" if unit else "no unit"
        raise InputError(f"latency {text!r} has {got}; write it like 10ms, 500us or 1.5s")
    if value <= 0:
        raise InputError(f"latency {text!r} must be more than 0")
    return round(value * MS_PER_UNIT[unit], 9)  # 700 times the double next to 0.001 is not 0.7


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
