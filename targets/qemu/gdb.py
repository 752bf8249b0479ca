# SPDX-License-Identifier: Apache-2.0
"""A client of the GDB remote serial protocol, as far as running functions needs it.

$<packet>#<checksum>   answered by + and another packet
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from tinytailor.targets.errors import ToolError

PIECE = 1900  # bytes of memory a packet: QEMU takes 4096 characters, two for each byte
CONNECT_SECONDS = 0.01


class Closed(Exception):  # noqa: N818 - not an error of the caller
    """The other side went away."""


class Gdb:
    """A connection to a stopped machine."""

    def __init__(self, path: Path, timeout_s: float, alive: Callable[[], bool]) -> None:
        """Connect to the socket ``path`` once it is there; OSError if that does not happen."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._received = b""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline or not alive():
                    self._socket.close()
                    raise
                time.sleep(CONNECT_SECONDS)
        # Single registers are served to clients only that have asked what registers there are.
        self._ask("qXfer:features:read:target.xml:0,ffb")

    def close(self) -> None:
        self._socket.close()

    def read(self, address: int, size: int) -> bytes:
        pieces = []
        for at in range(address, address + size, PIECE):
            count = min(PIECE, address + size - at)
            answer = self._ask(f"m{at:x},{count:x}")
            if len(answer) != 2 * count:
                raise ToolError(f"QEMU cannot read {count} bytes at {at:#x}: {answer!r}.")
            pieces.append(bytes.fromhex(answer))
        return b"".join(pieces)

    def write(self, address: int, content: bytes) -> None:
        for start in range(0, len(content), PIECE):
            piece = content[start : start + PIECE]
            self._expect_ok(f"M{address + start:x},{len(piece):x}:{piece.hex()}")

    def write_register(self, number: int, value: int) -> None:
        self._expect_ok(f"P{number:x}={value.to_bytes(4, 'little').hex()}")

    def read_register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self._ask(f"p{number:x}")), "little")

    def set_breakpoint(self, address: int) -> None:
        self._expect_ok(f"Z0,{address:x},2")

    def clear_breakpoint(self, address: int) -> None:
        self._expect_ok(f"z0,{address:x},2")

    def run(self, timeout_s: float) -> bool:
        """Run to a breakpoint; False if that takes longer than the time given."""
        self._send("c")
        self._socket.settimeout(timeout_s)
        try:
            self._packet()
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(None)
        return True

    def interrupt(self) -> None:
        """Stop a running machine."""
        self._socket.sendall(b"\x03")
        self._packet()

    def _expect_ok(self, packet: str) -> None:
        answer = self._ask(packet)
        if answer != "OK":
            raise ToolError(f"QEMU answered {answer!r} to the request {packet[:24]!r}.")

    def _ask(self, packet: str) -> str:
        self._send(packet)
        return self._packet()

    def _send(self, packet: str) -> None:
        data = packet.encode()
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))

    def _packet(self) -> str:
        """The next packet; acknowledgements before it are skipped."""
        while True:
            start = self._received.find(b"$")
            end = self._received.find(b"#", start)
            if start >= 0 and 0 <= end <= len(self._received) - 3:
                packet = self._received[start + 1 : end]
                self._received = self._received[end + 3 :]
                self._socket.sendall(b"+")
                return packet.decode()
            more = self._socket.recv(1 << 16)
            if not more:
                raise Closed
            self._received += more
