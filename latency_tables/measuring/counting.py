# SPDX-License-Identifier: Apache-2.0
"""Where operators are counted: on a core with memories of its own, for all boards that have it.

    flash  0x08000000  4 MiB        ram  0x20000000  2 MiB

What is executed, read and linked does not depend on where the memories lie: addresses are literals
of one size, filled in by the linker, and every memory begins on a page. So a board's own addresses
have no part in a row, nor has its size: an operator that is too large for one board is counted for
those that it fits, and a search leaves it out by its bytes.
"""

from __future__ import annotations

from tinytailor.targets import Board, Core, MemoryRegion, default_runner, serial_port

FLASH = MemoryRegion(0x0800_0000, 4 << 20)
RAM = MemoryRegion(0x2000_0000, 2 << 20)


def bench(core: Core) -> Board:
    """A core to count on; it has no time."""
    return Board(core.name, core, 1, FLASH, RAM, None)


def counting(runner: str, board: Board) -> str:
    """What counts instructions where ``runner`` is a board, which does not."""
    return runner if serial_port(runner) is None else default_runner(board)
