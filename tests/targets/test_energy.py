# SPDX-License-Identifier: Apache-2.0
"""The power of a board: what its file may say, and what follows for energies and batteries."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tinytailor.targets import Battery, Board, DutyCycle, duty_cycle, load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]

BOARD = """\
name = "mine"
core = "cortex-m4"
clock_hz = 64_000_000

[memory]
flash = { base = 0, bytes = 524_288 }
ram = { base = 0x20000000, bytes = 65_536 }

[latency]
core = 1.1
source = "a guess"
"""
ENERGY = """
[energy]
default = "coin"

[energy.usb]
supply = "3.3 V from USB"
volts = 3.3
active_mw = 40
source = "a multimeter"

[energy.coin]
supply = "3 V, step-down converter"
volts = 3.0
active_mw = 20
idle_mw = 0.5
idle_source = "the same multimeter"
calibrated = true
error_percent = 5
source = "a multimeter, ten networks"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def board(path: Path, text: str) -> Board:
    path.write_text(text)
    found = load_target(str(path))
    assert isinstance(found, Board)
    return found


def test_a_board_has_supply_configurations_and_a_default_one(mine: Path) -> None:
    found = board(mine, BOARD + ENERGY)
    assert [model.name for model in found.energy] == ["coin", "usb"]
    coin, usb = found.power(), found.power("usb")
    assert (coin.active_mw, coin.idle_mw, coin.volts) == (20, 0.5, 3.0)
    assert coin.trust == "published for this supply, mean error 5 % on other networks"
    assert usb.idle_mw is None
    assert usb.trust == "uncalibrated, error unknown"
    assert coin.energy_uj(1.5) == 30  # mW * ms
    shown = [row[:2] for row in found.facts() if "energy" in row[0] or "idle" in row[0]]
    assert shown == [
        ("energy, coin", f"20 mW active; 3 V, step-down converter; {coin.trust}"),
        ("  idle", "0.5 mW"),
        ("energy, usb", f"40 mW active; 3.3 V from USB; {usb.trust}"),
        ("  idle", "unknown"),
    ]


def test_one_configuration_needs_no_default(mine: Path) -> None:
    usb = ENERGY.partition("[energy.coin]")[0].replace('[energy]\ndefault = "coin"', "")
    assert board(mine, BOARD + usb).power().name == "usb"


def test_a_board_without_a_power_and_an_unknown_supply_are_named(mine: Path) -> None:
    with pytest.raises(InputError, match="mine: no power of this board is published"):
        board(mine, BOARD).power()
    with pytest.raises(InputError, match="mine: there is no supply 'sun'; known: coin, usb"):
        board(mine, BOARD + ENERGY).power("sun")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('default = "coin"', "", 'key "energy.default" is missing; expected one of usb, coin'),
        ('default = "coin"', 'default = "sun"', "is 'sun'; known: usb, coin"),
        ('default = "coin"', "active_mw = 3", 'key "energy.active_mw" stands alone; expected one'),
        ("active_mw = 40", "", 'key "energy.usb.active_mw" is missing; expected a number'),
        ("active_mw = 40", "active_mw = 0", 'key "energy.usb.active_mw" is 0; expected a number'),
        ("active_mw = 40", 'active_mw = "40 mW"', "active_mw\" is '40 mW'; expected a number"),
        ("active_mw = 20", "active_mw = 0.4", '"energy.coin.idle_mw" = 0.5 is more than'),
        ("volts = 3.3", "", 'key "energy.usb.volts" is missing'),
        ("volts = 3.3", "volts = -1", 'key "energy.usb.volts" is -1; expected'),
        ('idle_source = "the same multimeter"', "", 'key "energy.coin.idle_source" is missing'),
        ("calibrated = true", "calibrated = 1", 'key "energy.coin.calibrated" is 1; expected true'),
        (
            "error_percent = 5",
            "error = 5",
            'unknown key "energy.coin.error"; did you mean error_percent',
        ),
        ('source = "a multimeter"\n', "", 'key "energy.usb.source" is missing; expected a text'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    mine: Path, old: str, new: str, message: str
) -> None:
    assert ENERGY.count(old) == 1
    mine.write_text(BOARD + ENERGY.replace(old, new))
    with pytest.raises(InputError, match=rf"mine\.toml: (.*)?{message}"):
        load_target(str(mine))
    mine.write_text(BOARD + "\n[energy]\n")
    with pytest.raises(InputError, match=r'mine\.toml: key "energy" is empty; expected one table'):
        load_target(str(mine))


def test_the_mean_power_and_the_life_of_a_battery_are_those_computed_by_hand(mine: Path) -> None:
    """50 of 1000 ms at 20 mW, the rest at 0.5 mW: (1000 + 475) uJ a second."""
    found = board(mine, BOARD + ENERGY)
    cycle = duty_cycle("mine", found.power(), latency_ms=50, period_ms=1000)
    assert cycle == DutyCycle(period_ms=1000, latency_ms=50, active_mw=20, idle_mw=0.5)
    assert cycle.share == 0.05
    assert cycle.mean_mw == pytest.approx(1.475)
    cell = Battery(mah=220, volts=3)
    assert cell.joules == pytest.approx(2376)  # 0.22 A * 3600 s * 3 V
    assert cycle.days(cell) == pytest.approx(2376 / 1.475e-3 / 86400)
    always = dataclasses.replace(cycle, latency_ms=1000)
    assert always.mean_mw == 20


def test_what_cannot_be_told_is_refused(mine: Path) -> None:
    found = board(mine, BOARD + ENERGY)
    with pytest.raises(InputError, match="period 40 ms is shorter than an inference on mine, 50"):
        duty_cycle("mine", found.power(), latency_ms=50, period_ms=40)
    with pytest.raises(InputError, match="mine: its power while it waits is unknown for supply us"):
        duty_cycle("mine", found.power("usb"), latency_ms=50, period_ms=1000)
    with pytest.raises(InputError, match="mine: there is no cycle model of its core"):
        duty_cycle("mine", found.power(), latency_ms=None, period_ms=1000)
