# SPDX-License-Identifier: Apache-2.0
"""A board that is QEMU: its UART behind a socket, and a line between that can be disturbed.

    pyserial  socket://localhost:N  <->  Line (may lose, add or change bytes)  <->  QEMU's UART

The board file and the flash command are those of examples/board_on_qemu.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tinytailor.targets import Board, load_target
from tinytailor.targets.board import Device
from tinytailor.targets.qemu.machines import machine_board, machine_of

SECONDS = 20.0
EXAMPLE = Path(__file__).parents[2] / "examples" / "board_on_qemu"
Mangle = Callable[[bytes], bytes]


def qemu_board(name: str = "nucleo-f446re") -> Board:
    """A shipped board with the memories and the UART of the QEMU machine of its core."""
    board = load_target(name)
    assert isinstance(board, Board)
    return replace(machine_board(board), device=Device("cmsdk", 115_200))


def board_text(port: int, folder: Path) -> str:
    """The example's board file, with its UART at ``port`` and its state in ``folder``."""
    text = (EXAMPLE / "mps2-an386.toml").read_text()
    shipped = '["sh", "examples/board_on_qemu/flash.sh", "{image}"]'
    assert text.count(shipped) == 1
    return text.replace(shipped, json.dumps([*flash_command(port, folder), "{image}"]))


def stop_flashed(folder: Path) -> None:
    """End the machine that the flash command started, if there is one."""
    subprocess.run(flash_command(0, folder), check=True, timeout=SECONDS)


def flash_command(port: int, folder: Path) -> list[str]:
    """The example's, which without an image ends the machine."""
    state = [f"TMPDIR={folder}", f"QEMU_BOARD_PORT={port}"]
    return ["env", *state, "sh", str(EXAMPLE / "flash.sh")]


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
