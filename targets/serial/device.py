# SPDX-License-Identifier: Apache-2.0
"""Running the functions of an image on a device: buffers there, calls, cycles and outputs back.

    buffer   gap | argument | gap | argument ... | gap

Gaps and constant arguments are summed after a call, on the device: nobody may have written them.

with open_device("/dev/ttyACM0", board) as device:
    device.expect(firmware)
    results = device.run(calls)
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tinytailor.targets.board import Board
from tinytailor.targets.emulator.records import Call, CallResult
from tinytailor.targets.errors import CheckError, InputError, ToolError
from tinytailor.targets.placement import ALIGNMENT, GAP_BYTES, POISON
from tinytailor.targets.serial.firmware import Firmware
from tinytailor.targets.serial.link import DeviceResetError, Link, Timing
from tinytailor.targets.serial.protocol import Frame, Hello, Request, Status, parse_hello

LOG = logging.getLogger("tinytailor.serial")
REPEATS = 5
MOST_REPEATS = 32
RESETS = 3  # a call is run again after a reset; so many in a row are no accident
_TICK_CYCLES = 1 << 24


@dataclass(frozen=True, slots=True)
class _Placed:
    """Offsets of the buffers of one call in the device's buffer, and what lies in all of it."""

    offsets: tuple[int, ...]
    bytes: int


class Connection:
    """A device that answered. ``hello`` is who it says it is."""

    def __init__(self, link: Link, board: Board, on_note: Callable[[str], None]) -> None:
        self.link, self.board, self.on_note = link, board, on_note
        self.firmware: Firmware | None = None
        self._starts_anew = False  # after a fault
        self.hello = self._greet()

    @property
    def name(self) -> str:
        """What the numbers were measured on, for reports."""
        what = "QEMU" if self.hello.simulated else self.hello.board
        return f"{self.link.port} ({what})"

    def expect(self, firmware: Firmware) -> None:
        """ToolError unless the device runs this very firmware at the board's clock."""
        self.firmware = firmware
        self._check(self.hello)

    def run(
        self,
        calls: Sequence[Call],
        *,
        repeats: int = REPEATS,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[CallResult]:
        """Each call ``repeats`` times: outputs, and the cycles of every run."""
        if self.firmware is None:
            raise InputError("Connection.run needs Connection.expect(firmware) before it.")
        results = []
        for number, call in enumerate(calls):
            results.append(self._run_one(number, call, repeats))
            if on_progress is not None:
                on_progress(number + 1)
        return results

    def _run_one(self, number: int, call: Call, repeats: int) -> CallResult:
        if self._starts_anew:
            self.hello = self._greet()
            self._starts_anew = False
        for _ in range(RESETS):
            try:
                return self._attempt(number, call, repeats)
            except DeviceResetError:
                self.on_note(
                    f"{self.link.port}: the device was reset during call {number} "
                    f"({call.symbol}); it is run again"
                )
                self.hello = self._greet()
                self._check(self.hello)
        raise ToolError(
            f"the device on {self.link.port} was reset {RESETS} times during call {number} "
            f"({call.symbol}); check its power supply."
        )

    def _attempt(self, number: int, call: Call, repeats: int) -> CallResult:
        assert self.firmware is not None
        index = self.firmware.index(call.symbol, len(call.buffers))
        placed = self._place(call)
        content = bytearray([POISON]) * placed.bytes
        for offset, buffer in zip(placed.offsets, call.buffers, strict=True):
            if buffer.data is not None:
                content[offset : offset + buffer.size] = buffer.data
        self._fill(placed.bytes)
        for offset, buffer in zip(placed.offsets, call.buffers, strict=True):
            if buffer.data is not None:
                self._write(offset, buffer.data)
        # A buffer that the call reads and writes holds its first content for one run only.
        once = any(b.data is not None and not b.constant for b in call.buffers)
        runs = 1 if once else max(1, min(repeats, MOST_REPEATS))
        cycles, stack = self._call(number, call, index, runs, placed.offsets)
        self._check_untouched(number, call, placed, bytes(content))
        outputs = tuple(
            self._read(offset, buffer.size)
            for offset, buffer in zip(placed.offsets, call.buffers, strict=True)
            if buffer.read_back
        )
        return CallResult(outputs, {}, stack, cycles)

    def _place(self, call: Call) -> _Placed:
        offsets, at = [], 0
        for buffer in call.buffers:
            at = -(-(at + GAP_BYTES) // ALIGNMENT) * ALIGNMENT
            offsets.append(at)
            at += buffer.size
        at += GAP_BYTES
        if at > self.hello.buffer_bytes:
            raise InputError(
                f"{call.symbol} needs {at:,} bytes for its arguments, {self.board.name} has "
                f"{self.hello.buffer_bytes:,} left beside the image, its stack and the harness."
            )
        return _Placed(tuple(offsets), at)

    def _call(
        self, number: int, call: Call, index: int, runs: int, offsets: Sequence[int]
    ) -> tuple[tuple[int, ...], int]:
        # SysTick overflows after 2^24 cycles; the device gives up after so many of them.
        limit = int(self.link.timing.call_s * self.hello.clock_hz) // _TICK_CYCLES + 2
        data = index.to_bytes(2, "little") + bytes([runs, len(offsets)])
        data += b"".join(word.to_bytes(4, "little") for word in (limit, *offsets))
        seconds = limit * _TICK_CYCLES / self.hello.clock_hz
        reply = self.link.request(Request.CALL, data, seconds)
        self._starts_anew = reply.status in (Status.FAULTED, Status.TOO_LONG)
        who = f"call {number} ({call.symbol}) failed on {self.name}"
        if reply.status == Status.FAULTED:
            pc, cause = (int.from_bytes(reply.data[i : i + 4], "little") for i in (0, 4))
            raise CheckError(
                f"{who} at pc {pc:#010x}{self._function_at(pc)}: a fault, an access or instruction "
                f"the core refuses (fault status {cause:#010x})."
            )
        if reply.status == Status.TOO_LONG:
            raise CheckError(f"{who}: did not return within {self.link.timing.call_s:g} s.")
        if reply.status == Status.STACK_OVERFLOW:
            raise CheckError(f"{who}: the stack overflowed.")
        self._require_ok(reply, Request.CALL)
        words = [
            int.from_bytes(reply.data[at : at + 8], "little") for at in range(4, len(reply.data), 8)
        ]
        return tuple(words), int.from_bytes(reply.data[:4], "little")

    def _check_untouched(self, number: int, call: Call, placed: _Placed, content: bytes) -> None:
        """CheckError where the call wrote a gap or a constant buffer."""
        kept, at = [], 0
        for offset, buffer in zip(placed.offsets, call.buffers, strict=True):
            kept.append((at, offset - at))
            if buffer.constant and buffer.size:
                kept.append((offset, buffer.size))
            at = offset + buffer.size
        kept.append((at, placed.bytes - at))
        for start, size in _joined(kept):
            reply = self._ok(Request.SUM, _words(start, size))
            if int.from_bytes(reply.data, "little") != zlib.crc32(content[start : start + size]):
                raise CheckError(
                    f"call {number} ({call.symbol}) on {self.name} wrote memory that belongs to "
                    f"nothing it may write, between {start} and {start + size} of its buffers."
                )

    def _fill(self, size: int) -> None:
        self._ok(Request.FILL, _words(0, size) + bytes([POISON]))

    def _write(self, offset: int, data: bytes) -> None:
        step = self.hello.chunk_bytes
        for at in range(0, len(data), step):
            self._ok(Request.WRITE, _words(offset + at) + data[at : at + step])

    def _read(self, offset: int, size: int) -> bytes:
        step = self.hello.chunk_bytes
        return b"".join(
            self._ok(Request.READ, _words(offset + at, min(step, size - at))).data
            for at in range(0, size, step)
        )

    def _ok(self, kind: Request, data: bytes) -> Frame:
        reply = self.link.request(kind, data)
        self._require_ok(reply, kind)
        return reply

    def _require_ok(self, reply: Frame, kind: Request) -> None:
        if reply.status != Status.OK:
            try:
                said = Status(reply.status).name.lower().replace("_", " ")
            except ValueError:
                said = f"status {reply.status}"
            raise ToolError(f"the device on {self.link.port} answered {kind.name} with {said}.")

    def _greet(self) -> Hello:
        for _ in range(RESETS):
            try:
                return parse_hello(self.link.open_session())
            except DeviceResetError:
                continue
        raise ToolError(f"the device on {self.link.port} starts anew again and again.")

    def _check(self, hello: Hello) -> None:
        board, port = self.board, self.link.port
        if (hello.board, hello.core) != (board.name, board.core.name):
            raise ToolError(
                f"the device on {port} is a {hello.board} ({hello.core}), not a {board.name} "
                f"({board.core.name}); choose the port of the right board."
            )
        if self.firmware is not None and hello.build_id != self.firmware.build_id:
            raise ToolError(
                f"the device on {port} runs another firmware (build {hello.build_id.hex()[:12]}, "
                f"expected {self.firmware.build_id.hex()[:12]}); write the new one to it."
            )
        if hello.port_failure is not None:
            raise ToolError(
                f"{board.name} on {port} does not run at its clock: {hello.port_failure}."
            )
        if not hello.simulated and hello.clock_hz != board.clock_hz:
            raise ToolError(
                f"{board.name} on {port} runs at {hello.clock_hz:,} Hz, its board file says "
                f"{board.clock_hz:,} Hz."
            )

    def _function_at(self, pc: int) -> str:
        assert self.firmware is not None
        name = self.firmware.function_at(pc)
        return f" ({name})" if name else ""


@contextmanager
def open_device(
    port: str,
    board: Board,
    *,
    timing: Timing | None = None,
    on_note: Callable[[str], None] = LOG.warning,
) -> Iterator[Connection]:
    """The device on a port (a name, or a URL of pyserial such as socket://localhost:5555).

    ``on_note`` is told of a reset. ToolError where the port cannot be opened or nobody answers.
    """
    baud = board.device.baud if board.device is not None else 115_200
    link = Link(port, baud, timing or Timing())
    try:
        yield Connection(link, board, on_note)
    finally:
        link.close()


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def _joined(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges (start, size) in order, those that touch as one."""
    start, size = ranges[0]
    for next_start, next_size in ranges[1:]:
        if next_start == start + size:
            size += next_size
        else:
            yield start, size
            start, size = next_start, next_size
    yield start, size
