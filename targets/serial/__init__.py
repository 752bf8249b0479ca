# SPDX-License-Identifier: Apache-2.0
"""Boards on a serial port: the firmware they run, writing it to them, and calling its functions.

firmware = build_firmware(sources, {"model_invoke": 2}, elf, board, toolchain)
results = run(elf, board, "/dev/ttyACM0", calls)          CallResult.measured_cycles

A port is a name ("/dev/ttyACM0", "COM3") or a URL of pyserial ("socket://localhost:5555").
"""

from __future__ import annotations

from tinytailor.targets.serial.device import REPEATS, Connection, open_device
from tinytailor.targets.serial.firmware import Firmware, build_firmware, read_firmware
from tinytailor.targets.serial.flashing import flash
from tinytailor.targets.serial.link import Timing
from tinytailor.targets.serial.protocol import Hello
from tinytailor.targets.serial.run import ready, require_port, run

__all__ = [
    "REPEATS",
    "Connection",
    "Firmware",
    "Hello",
    "Timing",
    "build_firmware",
    "flash",
    "open_device",
    "read_firmware",
    "ready",
    "require_port",
    "run",
]
