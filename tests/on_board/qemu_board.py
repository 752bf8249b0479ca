# SPDX-License-Identifier: Apache-2.0
"""A board that is QEMU: its UART behind a socket, and a line between that can be disturbed.

    pyserial  socket://localhost:N  <->  Line (may lose, add or change bytes)  <->  QEMU's UART

Run as a program it is the flash command of such a board: it stops the machine that ran before and
starts one with the new image.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tinytailor.targets import Board, load_target
from tinytailor.targets.board import Device
from tinytailor.targets.qemu.machines import machine_board, machine_of

SECONDS = 20.0
Mangle = Callable[[bytes], bytes]


def qemu_board(name: str = "nucleo-f446re") -> Board:
    """A shipped board with the memories and the UART of the QEMU machine of its core."""
    board = load_target(name)
    assert isinstance(board, Board)
    return replace(machine_board(board), device=Device("cmsdk", 115_200))


def board_text(port: int, folder: Path) -> str:
    """The board file of a QEMU machine whose flash command is this file."""
    command = [sys.executable, __file__, "mps2-an386", str(port), str(folder), "{image}"]
    quoted = ", ".join(f"'{part}'" for part in command)
    return f"""\
name = "mps2-an386"
core = "cortex-m4"
clock_hz = 25_000_000
[memory]
flash = {{ base = 0x00000000, bytes = 4_194_304 }}
ram   = {{ base = 0x20000000, bytes = 4_194_304 }}
[latency]
core = 1.0
source = "an emulated machine"
calibrated = false
[device]
port = "cmsdk"
baud = 115_200
flash_command = [{quoted}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """A QEMU process with an image; ``line`` is where its UART is reached."""

    def __init__(
        self,
        image: Path,
        board: Board,
        folder: Path,
        machine: str = "",
        options: tuple[str, ...] = (),
    ) -> None:
        """``machine`` and ``options`` are those of QEMU for the core, where none are given."""
        self.door, self.monitor = folder / "uart", folder / "monitor"
        if not machine:
            machine, options = machine_of(board).name, machine_of(board).options
        command = ["qemu-system-arm", "-M", machine, *options]
        command += ["-kernel", str(image), "-display", "none"]
        command += ["-serial", f"unix:{self.door},server=on,wait=off"]
        command += ["-monitor", f"unix:{self.monitor},server=on,wait=off"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.line = Line(self.door)

    def reset(self) -> None:
        with _connected(self.monitor) as monitor:
            monitor.recv(4096)
            monitor.sendall(b"system_reset\n")
            time.sleep(0.05)
            monitor.recv(4096)

    def close(self) -> None:
        self.line.close()
        self.process.kill()
        self.process.wait()


class Line:
    """Carries bytes between a TCP port and QEMU's UART, through ``to_device`` and ``to_host``."""

    def __init__(self, door: Path) -> None:
        self.door = door
        self.to_device: Mangle = lambda data: data
        self.to_host: Mangle = lambda data: data
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    def close(self) -> None:
        self._open = False
        self._thread.join(SECONDS)
        self._server.close()

    def _serve(self) -> None:
        self._server.settimeout(0.1)
        with _connected(self.door) as device:
            while self._open:
                try:
                    host, _ = self._server.accept()
                except TimeoutError:
                    continue
                with host:
                    self._carry(host, device)

    def _carry(self, host: socket.socket, device: socket.socket) -> None:
        while self._open:
            ready, _, _ = select.select([host, device], [], [], 0.1)
            for source in ready:
                try:
                    data = source.recv(4096)
                    if not data:
                        return
                    if source is host:
                        device.sendall(self.to_device(data))
                    else:
                        host.sendall(self.to_host(data))
                except ConnectionError:
                    return


def _connected(door: Path) -> socket.socket:
    end = time.monotonic() + SECONDS
    while True:
        opened = socket.socket(socket.AF_UNIX)
        try:
            opened.connect(str(door))
            return opened
        except OSError:
            opened.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def stop_flashed(folder: Path) -> None:
    """End the machine that the flash command started in ``folder``, if there is one."""
    pid = folder / "qemu.pid"
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)
        pid.unlink()


def flash(machine: str, port: str, folder: str, image: str) -> None:
    stop_flashed(Path(folder))
    kept = Path(folder) / "image.elf"
    kept.write_bytes(Path(image).read_bytes())
    command = ["qemu-system-arm", "-M", machine, "-kernel", str(kept), "-display", "none"]
    command += ["-monitor", "none", "-daemonize", "-pidfile", str(Path(folder) / "qemu.pid")]
    command += ["-serial", f"tcp:127.0.0.1:{port},server=on,wait=off"]
    subprocess.run(command, check=True, timeout=SECONDS)


if __name__ == "__main__":
    flash(*sys.argv[1:])
