# SPDX-License-Identifier: Apache-2.0
"""The header of a new table: where it comes from (table/origin.py), and the glue, which is
measured."""

from __future__ import annotations

from tinytailor.latency_tables.measuring.counting import bench, counting
from tinytailor.latency_tables.measuring.glue import measure_glue
from tinytailor.latency_tables.table.origin import header_for, now
from tinytailor.latency_tables.table.records import Header
from tinytailor.targets import Board, Toolchain


def make_header(board: Board, toolchain: Toolchain, runner: str) -> Header:
    """The header of a new table; measures the glue of an invoke."""
    return header_for(
        board,
        toolchain,
        runner,
        measure_glue(bench(board.core), toolchain, counting(runner, board)),
        now(),
    )
