# SPDX-License-Identifier: Apache-2.0
"""The header of a new table: where it comes from (table/origin.py), and the glue, which is
measured."""

from __future__ import annotations

from tinytailor.latency_tables.measuring.glue import measure_glue
from tinytailor.latency_tables.table.origin import header_for, now
from tinytailor.latency_tables.table.records import Header
from tinytailor.targets import Board, Toolchain, default_runner, serial_port


def make_header(board: Board, toolchain: Toolchain, runner: str) -> Header:
    """The header of a new table; measures the glue of an invoke."""
    return header_for(
        board,
        toolchain,
        runner,
        measure_glue(board, toolchain, counting(runner, board)),
        now(),
    )


def counting(runner: str, board: Board) -> str:
    """What counts instructions where ``runner`` is a board, which does not."""
    return runner if serial_port(runner) is None else default_runner(board)
