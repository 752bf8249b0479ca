# SPDX-License-Identifier: Apache-2.0
"""How a network will be powered and used: options of profile and search.

--supply NAME              which supply configuration of the board, by default its first
--period 1s                one inference a period: the mean power
--battery 220mAh@3V        and how long a battery lasts
--idle 20uW                the power between inferences, in place of the board's
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinytailor.targets import Usage, require_board, require_idle
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.targets import Board, Target

Supply = Annotated[
    str | None,
    typer.Option(help="Supply configuration of the board that energies are told for."),
]
Period = Annotated[
    str | None, typer.Option(help="One inference every so often, as 1s or 10min: the mean power.")
]
BatteryText = Annotated[
    str | None, typer.Option("--battery", help="With --period: how long 220mAh@3V lasts.")
]
Idle = Annotated[
    str | None, typer.Option(help="With --period: power in between, as 20uW; else the board's.")
]


def parse_usage(
    target: Target, supply: str | None, period: str | None, battery: str | None, idle: str | None
) -> Usage:
    """InputError where the words have no meaning, or the board has no such figures."""
    from tinytailor.compiler.mcu.energy import powered
    from tinytailor.latency_tables import parse_battery, parse_period, parse_power

    for name, text in (("--battery", battery), ("--idle", idle)):
        if text is not None and period is None:
            raise InputError(f"{name} needs --period: how often an inference runs, as --period 1s")
    usage = Usage(
        supply,
        None if period is None else parse_period(period),
        None if battery is None else parse_battery(battery),
        None if idle is None else parse_power(idle),
    )
    if usage != Usage():
        board = require_board(target, "the energy of an inference")
        power = powered(board, usage)
        if period is not None:
            require_idle(board.name, power)
    return usage


def used(profile: dict[str, Any], board: Board, usage: Usage) -> dict[str, Any]:
    """``profile`` with the energy under that supply, and with what a period makes of it."""
    from tinytailor.compiler.mcu.energy import energy_record, usage_record

    profile = {**profile, **energy_record(board, profile["latency_ms"], usage.supply)}
    return {**profile, "usage": usage_record(board, profile, usage)}
