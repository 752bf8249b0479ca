# SPDX-License-Identifier: Apache-2.0
"""What each operator configuration costs on a target, and from that what a network costs.

table        the file: rows by key, and where they come from
measuring    fills it
calibration  constants of a board, from latencies that were measured on it
estimate     rows for operators that were not measured (fit: least squares)
cost         a network, as the sum of its rows; budget: what it may cost
"""

from tinytailor.latency_tables.budget import (
    Budget,
    parse_battery,
    parse_bytes,
    parse_duration,
    parse_energy,
    parse_latency,
    parse_period,
    parse_power,
)
from tinytailor.latency_tables.table.latency_table import Failure, LatencyTable
from tinytailor.latency_tables.table.records import Glue, Header, Measurement, Work

__all__ = [
    "Budget",
    "Failure",
    "Glue",
    "Header",
    "LatencyTable",
    "Measurement",
    "Work",
    "parse_battery",
    "parse_bytes",
    "parse_duration",
    "parse_energy",
    "parse_latency",
    "parse_period",
    "parse_power",
]
