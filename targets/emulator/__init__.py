# SPDX-License-Identifier: Apache-2.0
"""Running functions of an image on an emulated Cortex-M core, and counting what they do.

    ram    .data | .bss | buffers of the call, 16-byte aligned | free ... stack

One subprocess runs the start-up code and then all calls in turn; .data and .bss persist between
them as they do on a device, the buffers are written afresh for each. RAM starts out filled with a
pattern, so that reading what nobody wrote does not go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tinytailor.targets.board import Board
from tinytailor.targets.emulator.records import Buffer, Call, CallResult, Counts
from tinytailor.targets.errors import InputError

__all__ = ["Buffer", "Call", "CallResult", "Counts", "run"]


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
    """Run ``calls`` in turn on the emulated core of ``board``.

    ``regions`` maps a function to the name under which it, and all that it calls, is counted; the
    rest of a call counts under "". Without ``count`` the counts are empty and the run is faster;
    cores without a cycle model have instructions counted, and no cycles.
    ``on_progress`` gets the number of calls done, now and then. ``timeout_s`` is the limit of one
    call.

    InputError: a function is not in the image, buffers do not fit, or the core is not emulated.
    CheckError: a call accessed memory that the board lacks, hit an undefined instruction, or did
    not return; it names the place. So does an unaligned access that the real core refuses: all of
    them on ARMv6-M, and when counting those of instructions that move several registers.
    ToolError: the emulator failed.
    """
    from tinytailor.targets.emulator.job import run_job

    if board.core.emulated_as is None:
        raise InputError(
            f"the emulator has no {board.core.name}, the core of {board.name}; run it on qemu."
        )
    return run_job(image, board, calls, regions or {}, count, on_progress, timeout_s)
