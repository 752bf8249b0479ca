# SPDX-License-Identifier: Apache-2.0
"""The two runners by name: the emulator, and QEMU. The same calls give the same records.

image = build_image(sources, elf, linked_for("qemu", board), toolchain)
run_on("qemu", elf, board, calls)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tinytailor.targets import emulator, qemu
from tinytailor.targets.board import Board
from tinytailor.targets.emulator.records import Call, CallResult
from tinytailor.targets.errors import InputError

RUNNERS = ("emulator", "qemu")


def default_runner(board: Board) -> str:
    """The emulator, and QEMU for a core that the emulator does not have."""
    return "emulator" if board.core.emulated_as is not None else "qemu"


def linked_for(runner: str, board: Board) -> Board:
    """The board whose memory map an image needs to run there."""
    return qemu.machine_board(board) if _known(runner) == "qemu" else board


def run_on(
    runner: str,
    image: Path,
    board: Board,
    calls: Sequence[Call],
    *,
    regions: Mapping[str, str] | None = None,
    count: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> list[CallResult]:
    """Run ``calls`` of an image that was built for ``linked_for(runner, board)``."""
    run = qemu.run if _known(runner) == "qemu" else emulator.run
    where = linked_for(runner, board)
    return run(image, where, calls, regions=regions, count=count, on_progress=on_progress)


def _known(runner: str) -> str:
    if runner not in RUNNERS:
        raise InputError(f"unknown runner {runner!r}; expected {' or '.join(RUNNERS)}.")
    return runner
