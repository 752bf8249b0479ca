# SPDX-License-Identifier: Apache-2.0
"""The power of a board in a supply configuration, and what follows for energy and batteries.

    energy of an inference   E = active * t                         mW * ms = uJ
    mean power               (E + idle * (period - t)) / period     uJ / ms = mW
    battery life             capacity * voltage / mean power

t is the modelled latency. One power for all networks: that which a convolution, a depthwise and a
dense layer draw differs by some percent, which ``error_percent`` says. The power belongs to the
supply as much as to the chip, so a board may have several configurations, each with its name.

    [energy]
    default = "ldo"

    [energy.ldo]
    supply = "1.8 V, no SMPS, 120 MHz"
    volts = 1.8
    active_mw = 41.6
    ...
"""

from __future__ import annotations

from dataclasses import dataclass

from tinytailor.targets.errors import InputError
from tinytailor.targets.toml_table import TomlTable

DEFAULT = "default"
COULOMB_PER_MAH = 3.6
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """Power of a board while it computes and while it waits, in one supply configuration.

    ``supply`` says in words what is measured, ``volts`` where. ``calibrated``: measured on this
    board in this configuration. ``error_percent`` is the mean error of E = active * t on networks
    that ``active_mw`` was not taken from, None if nobody knows. ``idle_mw`` is None if unknown.
    """

    name: str
    supply: str
    volts: float
    active_mw: float
    source: str
    calibrated: bool
    error_percent: float | None = None
    idle_mw: float | None = None
    idle_source: str = ""

    def energy_uj(self, latency_ms: float) -> float:
        return self.active_mw * latency_ms

    @property
    def trust(self) -> str:
        """What every report says beside an energy; the error of the time is not in it."""
        error = self.error_percent
        if self.calibrated:
            return "published for this supply" + (
                f", mean error {error:g} % on other networks" if error is not None else ""
            )
        return "uncalibrated, error " + (f"about {error:g} %" if error is not None else "unknown")

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """Rows of what is known, and where it is from."""
        active = f"{self.active_mw:g} mW active; {self.supply}; {self.trust}"
        idle = "unknown" if self.idle_mw is None else f"{self.idle_mw:g} mW"
        return (f"energy, {self.name}", active, self.source), ("  idle", idle, self.idle_source)


@dataclass(frozen=True, slots=True)
class Battery:
    """What it holds when it is full, and its voltage."""

    mah: float
    volts: float

    @property
    def joules(self) -> float:
        return self.mah * COULOMB_PER_MAH * self.volts


@dataclass(frozen=True, slots=True)
class Usage:
    """How a network is powered and used; without anything: once, under the default supply.

    ``idle_mw`` stands for the idle power of the board, which sleeps deeper or does more.
    """

    supply: str | None = None
    period_ms: float | None = None
    battery: Battery | None = None
    idle_mw: float | None = None


@dataclass(frozen=True, slots=True)
class DutyCycle:
    """One inference every ``period_ms``, and ``idle_mw`` in between."""

    period_ms: float
    latency_ms: float
    active_mw: float
    idle_mw: float

    @property
    def share(self) -> float:
        """Of the time in which it computes."""
        return self.latency_ms / self.period_ms

    @property
    def mean_mw(self) -> float:
        rest_ms = self.period_ms - self.latency_ms
        return (self.active_mw * self.latency_ms + self.idle_mw * rest_ms) / self.period_ms

    def days(self, battery: Battery) -> float:
        """How long ``battery`` lasts."""
        return battery.joules / (self.mean_mw * 1e-3) / SECONDS_PER_DAY


def duty_cycle(
    board: str, model: EnergyModel, latency_ms: float | None, period_ms: float
) -> DutyCycle:
    """InputError where the idle power or the time is unknown, or the period is too short."""
    idle_mw = require_idle(board, model)
    if latency_ms is None:
        raise InputError(
            f"{board}: there is no cycle model of its core, so neither times nor energies can be "
            "told; leave out --period."
        )
    if period_ms < latency_ms:
        raise InputError(
            f"period {period_ms:g} ms is shorter than an inference on {board}, {latency_ms:.3f} "
            "ms; give a longer --period."
        )
    return DutyCycle(period_ms, latency_ms, model.active_mw, idle_mw)


def require_idle(board: str, model: EnergyModel) -> float:
    """The power between inferences, or InputError."""
    if model.idle_mw is None:
        raise InputError(
            f"{board}: its power while it waits is unknown for supply {model.name}, so a mean "
            "power cannot be told; give it with --idle, as 20uW, or choose another --supply."
        )
    return model.idle_mw


def read_energy(table: TomlTable) -> tuple[EnergyModel, ...]:
    """The supply configurations of an [energy] table, the default one first."""
    names = tuple(name for name in table.values if name != DEFAULT)
    alone = [name for name in names if not isinstance(table.values[name], dict)]
    if alone or not names:
        found = f'key "energy.{alone[0]}" stands alone' if alone else 'key "energy" is empty'
        raise InputError(
            f"{table.path}: {found}; expected one table a supply configuration, such as "
            "[energy.usb] with the keys supply, volts, active_mw and source."
        )
    if len(names) > 1 and DEFAULT not in table.values:
        raise InputError(
            f'{table.path}: key "energy.{DEFAULT}" is missing; expected one of {", ".join(names)}.'
        )
    default = table.choice(DEFAULT, names) if DEFAULT in table.values else names[0]
    models = {name: _model(name, table.table(name)) for name in names}
    return (models.pop(default), *models.values())


def _model(name: str, table: TomlTable) -> EnergyModel:
    def optional(key: str) -> float | None:
        return table.number(key, minimum=0) if key in table.values else None

    idle = optional("idle_mw")
    model = EnergyModel(
        name=name,
        supply=table.text("supply"),
        volts=table.number("volts", minimum=0.1),
        active_mw=table.number("active_mw", minimum=1e-6),
        source=table.text("source"),
        calibrated=table.flag("calibrated", default=False),
        error_percent=optional("error_percent"),
        idle_mw=idle,
        idle_source=table.text("idle_source") if idle is not None else "",
    )
    table.read += ["error_percent", "idle_mw", "idle_source"]
    table.finish()
    if idle is not None and idle > model.active_mw:
        raise InputError(
            f'{table.path}: "{table.prefix}idle_mw" = {idle:g} is more than '
            f'"{table.prefix}active_mw" = {model.active_mw:g}.'
        )
    return model
