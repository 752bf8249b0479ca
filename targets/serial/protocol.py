# SPDX-License-Identifier: Apache-2.0
"""Frames between this computer and a board; ``runtime/board/protocol.h`` is the other end.

    0x00 | COBS( type 1 | status 1 | sequence 2 | session 4 | length 2 | data | CRC-32 4 ) | 0x00

Numbers are little-endian. COBS (Cheshire and Baker 1999) writes data without the byte 0: a code
byte n stands for n - 1 bytes that follow it and a zero, n = 255 for 254 bytes and no zero. So zeros
stand between frames only: whatever was lost or added before a zero, the next frame is whole again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from tinytailor.targets.errors import ToolError

VERSION = 1
CHUNK_BYTES = 1024
BUILD_ID_BYTES = 16
_HEAD = struct.Struct("<BBHIH")
_CRC_BYTES = 4
_LARGEST = _HEAD.size + CHUNK_BYTES + 8 + _CRC_BYTES
_REPLY = 0x80


class Request(IntEnum):
    HELLO = 1
    WRITE = 2
    READ = 3
    FILL = 4
    SUM = 5
    CALL = 6


class Status(IntEnum):
    OK = 0
    RUNNING = 1
    NO_SESSION = 2
    BAD_REQUEST = 3
    BAD_RANGE = 4
    BAD_INDEX = 5
    FAULTED = 6
    TOO_LONG = 7
    STACK_OVERFLOW = 8


COUNTERS = {1: "DWT cycle counter", 2: "SysTick"}
PORT_FAILURES = {
    1: "its oscillator did not become ready",
    2: "its PLL did not lock",
    3: "the voltage that its clock needs did not become ready",
    4: "its firmware port has no setting for the clock of the board file",
    5: "its flash did not take the wait states",
    6: "its core stayed on the reset clock",
    7: "its core has no vector table register",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. ``kind`` is a Request, in an answer with ``is_reply``."""

    kind: int
    status: int
    sequence: int
    session: int
    data: bytes = b""
    is_reply: bool = False


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, with the zeros around it."""
    kind = frame.kind | (_REPLY if frame.is_reply else 0)
    head = _HEAD.pack(kind, frame.status, frame.sequence, frame.session, len(frame.data))
    body = head + frame.data
    return b"\0" + stuff(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def stuff(data: bytes) -> bytes:
    """COBS: ``data`` without zeros."""
    out = bytearray()
    parts = data.split(b"\0")
    for number, part in enumerate(parts):
        while len(part) >= 254:
            out += b"\xff" + part[:254]
            part = part[254:]
            if not part and number == len(parts) - 1:
                return bytes(out)
        out += bytes([len(part) + 1]) + part
    return bytes(out)


def unstuff(data: bytes) -> bytes | None:
    """The data that ``stuff`` made these bytes of, None if none did."""
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or len(block) != code - 1:
            return None
        out += block
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


def decode(packet: bytes) -> Frame | None:
    """The frame of the bytes between two zeros, None if it is not whole and intact."""
    body = unstuff(packet)
    if body is None or len(body) < _HEAD.size + _CRC_BYTES:
        return None
    body, check = body[:-_CRC_BYTES], body[-_CRC_BYTES:]
    kind, status, sequence, session, length = _HEAD.unpack_from(body)
    data = body[_HEAD.size :]
    if struct.pack("<I", zlib.crc32(body)) != check or length != len(data):
        return None
    return Frame(kind & ~_REPLY, status, sequence, session, data, bool(kind & _REPLY))


@dataclass(slots=True)
class Decoder:
    """Finds the intact frames in a stream of bytes; the others are dropped."""

    pending: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes."""
        *packets, rest = (self.pending + data).split(b"\0")
        # What is longer than any frame is none: one byte more than the largest says so.
        self.pending = rest[: _LARGEST + _LARGEST // 254 + 3]
        for packet in packets:
            frame = decode(bytes(packet))
            if frame is not None:
                yield frame


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a device says it is. ``clock_hz`` is what its core runs at; ``simulated`` an emulated
    machine, whose cycles are no time."""

    counter: str
    port_failure: str | None
    simulated: bool
    clock_hz: int
    buffer_bytes: int
    chunk_bytes: int
    functions: int
    build_id: bytes
    board: str
    core: str
    port: str


_HELLO = struct.Struct(f"<BBBBIIHH{BUILD_ID_BYTES}s")


def parse_hello(data: bytes) -> Hello:
    """ToolError where the firmware speaks another version of the protocol."""
    if not data or data[0] != VERSION:
        version = data[0] if data else "none"
        raise ToolError(
            f"the firmware on the device speaks version {version} of the protocol, this tinytailor "
            f"version {VERSION}; write the firmware of this tinytailor to the board."
        )
    texts = data[_HELLO.size :].split(b"\0")
    if len(data) < _HELLO.size or len(texts) != 4:
        raise ToolError("the device's HELLO is not whole; write the firmware to the board again.")
    _, counter, failure, simulated, clock, room, chunk, functions, build = _HELLO.unpack_from(data)
    board, core, port, _ = (text.decode("utf-8", "replace") for text in texts)
    return Hello(
        COUNTERS.get(counter, f"counter {counter}"),
        PORT_FAILURES.get(failure, f"error {failure} of its port") if failure else None,
        bool(simulated),
        clock,
        room,
        chunk,
        functions,
        build,
        board,
        core,
        port,
    )
