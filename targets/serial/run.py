# SPDX-License-Identifier: Apache-2.0
"""One image on the device at a port: write it there if it is not there yet, then run its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tinytailor.targets.board import Board, port_source
from tinytailor.targets.emulator.records import Call, CallResult
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.serial.device import LOG, REPEATS, Connection, open_device
from tinytailor.targets.serial.firmware import read_firmware
from tinytailor.targets.serial.flashing import flash
from tinytailor.targets.serial.link import Link, PortError, Timing

_FIRST_LOOK = Timing(answer_s=0.3, tries=2)


def run(
    elf: Path,
    board: Board,
    port: str,
    calls: Sequence[Call],
    *,
    repeats: int = REPEATS,
    timing: Timing | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_note: Callable[[str], None] = LOG.warning,
) -> list[CallResult]:
    """The results of ``calls`` of a firmware image; it is written to the board where needed."""
    with ready(elf, board, port, timing=timing, on_note=on_note) as device:
        return device.run(calls, repeats=repeats, on_progress=on_progress)


@contextmanager
def ready(
    elf: Path,
    board: Board,
    port: str,
    *,
    timing: Timing | None = None,
    on_note: Callable[[str], None] = LOG.warning,
) -> Iterator[Connection]:
    """The device at ``port`` with the firmware of ``elf`` on it."""
    firmware = read_firmware(elf)
    if not _runs(firmware.build_id, board, port):
        flash(board, elf)
    with open_device(port, board, timing=timing, on_note=on_note) as device:
        device.expect(firmware)
        yield device


def require_port(board: Board, port: str) -> None:
    """An error at once where the board has no firmware, or there is no such port.

    A socket is taken on trust, as it may be there only once something runs behind it.
    """
    port_source(board)
    if board.device is not None and "://" not in port:
        Link(port, board.device.baud, _FIRST_LOOK).close()


def _runs(build_id: bytes, board: Board, port: str) -> bool:
    """Whether the device already has this build; one that does not answer has not.

    InputError for a device with another core: what is connected is not what was asked for.
    """
    try:
        with open_device(port, board, timing=_FIRST_LOOK) as device:
            hello = device.hello
    except PortError:
        if "://" not in port:
            raise
        return False  # a socket is there once something runs behind it
    except ToolError:
        return False
    if hello.core != board.core.name:
        raise InputError(
            f"the device on {port} is a {hello.board} ({hello.core}), not a {board.name} "
            f"({board.core.name}); nothing was written to it; choose the port of the right board."
        )
    return hello.build_id == build_id
