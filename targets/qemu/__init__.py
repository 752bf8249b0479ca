# SPDX-License-Identifier: Apache-2.0
"""Running functions of an image on a QEMU machine: the second runner, and the only one with an M55.

The same calls give the same records as ``targets.emulator.run``. QEMU is driven through its GDB
server, so that nothing has to be linked to the program; a plugin counts what it executes.

An image must be built for ``machine_board(board)``, the board with the memories of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tinytailor.targets.board import Board
from tinytailor.targets.emulator.records import Call, CallResult
from tinytailor.targets.qemu.machines import MACHINES, machine_board

__all__ = ["MACHINES", "machine_board", "run"]


def run(
    image: Path,
    board: Board,
    calls: Sequence[Call],
    *,
    regions: Mapping[str, str] | None = None,
    count: bool = True,
    on_progress: Callable[[int], None] | None = None,
    timeout_s: float = 600.0,
) -> list[CallResult]:
    """As ``targets.emulator.run``, for a board from ``machine_board``.

    InputError, CheckError: as there. ToolError: QEMU is missing, has no plugins (counting needs
    them), or failed.
    """
    from tinytailor.targets.qemu.job import run_job

    return run_job(image, board, calls, regions or {}, count, on_progress, timeout_s)
