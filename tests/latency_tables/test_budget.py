# SPDX-License-Identifier: Apache-2.0
"""Budgets: units are read as written, and what cannot be meant is refused."""

from __future__ import annotations

import pytest

from tinytailor.latency_tables import Budget, parse_bytes, parse_latency
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
