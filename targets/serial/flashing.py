# SPDX-License-Identifier: Apache-2.0
"""Writing an image to a board: by the command of its board file, or with pyocd.

    flash_command = ["openocd", "-f", "board.cfg", "-c", "program {image} verify reset exit"]
    pyocd_target  = "stm32f446re"          pip install tinytailor[boards]

The command of the board file wins where both are given.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from tinytailor.targets.board import Board
from tinytailor.targets.errors import InputError, ToolError

SECONDS = 120.0


def flash(board: Board, elf: Path, *, seconds: float = SECONDS) -> None:
    """Write ``elf`` to the board that is connected, and let it start."""
    command = flash_command(board, elf)
    what = f"writing {elf.name} to {board.name}"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
    except FileNotFoundError as error:
        raise ToolError(f"{what}: there is no program {command[0]!r} on PATH.") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{what}: {command[0]} did not end within {seconds:g} s.") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        shown = lines[-1].strip() if lines else "it said nothing"
        raise ToolError(f"{what} failed ({Path(command[0]).name} exit {done.returncode}): {shown}")


def flash_command(board: Board, elf: Path) -> list[str]:
    """The command that writes ``elf``; InputError where the board file names none."""
    device = board.device
    if device is not None and device.flash_command is not None:
        return [part.replace("{image}", str(elf.resolve())) for part in device.flash_command]
    if device is None or device.pyocd_target is None:
        raise InputError(
            f"{board.name}: its board file does not say how an image is written to it; add "
            "pyocd_target or flash_command to its [device] table."
        )
    if importlib.util.find_spec("pyocd") is None:
        raise ToolError(
            f"writing to {board.name} needs pyocd, which is not installed; run "
            "`pip install 'tinytailor[boards]'`, or give a flash_command in the board file."
        )
    # Without --no-wait it would wait for a probe to be plugged in, for ever.
    options = ["--no-wait", "--target", device.pyocd_target, "--format", "elf"]
    return [sys.executable, "-m", "pyocd", "load", *options, str(elf.resolve())]
