# SPDX-License-Identifier: Apache-2.0
"""The runners by name: the emulator, QEMU, and a board on a serial port ("serial:/dev/ttyACM0").

build_for("qemu", sources, elf, board, toolchain, {"run": 2})
run_on("qemu", elf, board, calls)

The same calls give the same records, but that a board gives cycles where the others count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tinytailor.targets import emulator, qemu, serial
from tinytailor.targets.board import Board
from tinytailor.targets.emulator.records import Call, CallResult
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such
from tinytailor.targets.toolchain import Toolchain, build_image

RUNNERS = ("emulator", "qemu")
SERIAL = "serial:"
ANY_PORT = f"{SERIAL}PORT"  # stands for it in lists of runners


def default_runner(board: Board) -> str:
    """The emulator, and QEMU for a core that the emulator does not have."""
    return "emulator" if board.core.emulated_as is not None else "qemu"


def serial_port(runner: str | None) -> str | None:
    """The port of a board's runner "serial:PORT"; None for the other runners."""
    if runner is None or not runner.startswith(SERIAL):
        return None
    port = runner.removeprefix(SERIAL)
    if not port:
        raise InputError(f"{runner!r} names no port; write it as in serial:/dev/ttyACM0.")
    return port


def called(runner: str) -> str:
    """In words, for a sentence."""
    return {"emulator": "the emulator", "qemu": "QEMU"}.get(runner, runner)


def board_on(board: str, runner: str) -> str:
    """Which ``board`` a runner is, in words: "emulated nucleo-f446re"."""
    if f"{runner}:".startswith(SERIAL):
        return f"{board} at a serial port"
    return f"{board} in QEMU" if runner == "qemu" else f"emulated {board}"


def linked_for(runner: str, board: Board) -> Board:
    """The board whose memory map an image needs to run there."""
    if serial_port(runner) is not None:
        return board
    return qemu.machine_board(board) if _known(runner) == "qemu" else board


def build_for(
    runner: str,
    sources: Sequence[Path],
    out: Path,
    board: Board,
    toolchain: Toolchain,
    functions: Mapping[str, int],
    *,
    extra_flags: Sequence[str] = (),
) -> None:
    """Build an image that ``runner`` can run; ``functions``: symbol -> number of its pointers."""
    if serial_port(runner) is not None:
        serial.build_firmware(sources, functions, out, board, toolchain, extra_flags=extra_flags)
        return
    linked, keep = linked_for(runner, board), tuple(functions)
    build_image(sources, out, linked, toolchain, extra_flags=extra_flags, keep=keep)


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
    """Run ``calls`` of an image of ``build_for``; a board is written first where it needs to be.

    A board counts nothing, so that it has no ``regions``; each of its calls runs several times.
    """
    port = serial_port(runner)
    if port is not None:
        return serial.run(image, board, port, calls, on_progress=on_progress)
    run = qemu.run if _known(runner) == "qemu" else emulator.run
    where = linked_for(runner, board)
    return run(image, where, calls, regions=regions, count=count, on_progress=on_progress)


def _known(runner: str) -> str:
    if runner not in RUNNERS:
        raise no_such(f"no runner is called {runner!r}", runner, (*RUNNERS, ANY_PORT))
    return runner
