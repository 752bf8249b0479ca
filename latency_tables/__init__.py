# SPDX-License-Identifier: Apache-2.0
"""What each operator configuration costs on a target: keys, tables, measuring, network costs."""

from tinytailor.latency_tables.budget import Budget, parse_bytes, parse_latency
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
    "parse_bytes",
    "parse_latency",
]
