# SPDX-License-Identifier: Apache-2.0
"""Budgets: units are read as written, and what cannot be meant is refused."""

from __future__ import annotations

import pytest

from tinytailor.latency_tables import (
    Budget,
    parse_battery,
    parse_bytes,
    parse_energy,
    parse_latency,
    parse_period,
    parse_power,
)
from tinytailor.targets import Battery
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("10ms", 10.0), ("500us", 0.5), ("1.5s", 1500.0), (" 2 ms ", 2.0), (".5ms", 0.5)],
)
def test_a_latency_is_read_in_milliseconds(text, milliseconds):
    assert parse_latency(text) == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KiB", 65536),
        ("48kB", 48000),
        ("1MiB", 1 << 20),
        ("1.5KiB", 1536),
        ("65536", 65536),
        ("128B", 128),
        ("64kib", 65536),
    ],
)
def test_a_size_is_read_in_bytes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["10", "ms", "-1ms", "10 minutes", "0ms", "", "nan", "1e3ms"])
def test_what_is_no_latency_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="latency"):
        parse_latency(text)


@pytest.mark.parametrize("text", ["", "64K", "KiB", "-1", "0", "1.5", "0.3KiB", "10ms"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="size"):
        parse_bytes(text)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_positive(value):
    with pytest.raises(InputError, match="latency_ms must be positive"):
        Budget(latency_ms=value)


@pytest.mark.parametrize(
    ("text", "microjoules"),
    [("500uJ", 500), ("500µJ", 500), ("1.5mJ", 1500), ("800nJ", 0.8), ("2 J", 2e6)],
)
def test_an_energy_is_read_in_microjoules(text, microjoules):
    assert parse_energy(text) == pytest.approx(microjoules)


@pytest.mark.parametrize("text", ["500", "uJ", "-1uJ", "0uJ", "500uj", "5MJ", "5 uWh", "1e3uJ", ""])
def test_what_is_no_energy_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"energy .*500uJ|energy .* more than 0"):
        parse_energy(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("1s", 1000), ("500ms", 500), ("10min", 600_000), ("1h", 3_600_000)]
)
def test_a_period_is_read_in_milliseconds(text, milliseconds):
    assert parse_period(text) == milliseconds


@pytest.mark.parametrize("text", ["1", "1 day", "0s", "often"])
def test_what_is_no_period_is_refused(text):
    with pytest.raises(InputError, match="period"):
        parse_period(text)


def test_a_power_is_read_in_milliwatts_and_refused_as_an_energy_is():
    assert parse_power("20uW") == pytest.approx(0.02)
    assert parse_power("4.7 mW") == 4.7
    for text in ("20", "20MW", "20uJ", "0mW"):
        with pytest.raises(InputError, match="power"):
            parse_power(text)


def test_a_battery_is_a_capacity_at_a_voltage():
    assert parse_battery("220mAh@3V") == Battery(220, 3)
    assert parse_battery(" 1.2 Ah @ 3.7 V ") == Battery(1200, 3.7)


@pytest.mark.parametrize("text", ["220mAh", "220@3V", "@3V", "220mAh@", "2mAh@3", "0Ah@3V", "a@b"])
def test_what_is_no_battery_is_refused(text):
    with pytest.raises(InputError, match="battery"):
        parse_battery(text)


def test_an_energy_is_a_limit_of_the_time_in_which_it_is_spent():
    assert Budget(energy_uj=500, active_mw=25).energy_ms == 20
    assert Budget(latency_ms=30, energy_uj=500, active_mw=25).time_ms == 20
    assert Budget(latency_ms=10, energy_uj=500, active_mw=25).time_ms == 10
    assert Budget(latency_ms=10).time_ms == 10
    assert Budget().time_ms is None
    with pytest.raises(InputError, match="energy_uj needs active_mw"):
        Budget(energy_uj=500)
    with pytest.raises(InputError, match="energy_uj must be positive"):
        Budget(energy_uj=-1, active_mw=25)
