# SPDX-License-Identifier: Apache-2.0
"""A serial port and the requests that go over it: one at a time, repeated until it is answered.

A request is sent again, unchanged, where its answer does not come; the device knows it by its
sequence number and check sum and answers from memory. A device that was reset has forgotten the
session: it says so, or says HELLO unasked, and DeviceResetError is raised.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass

import serial

from tinytailor.targets.errors import ToolError
from tinytailor.targets.serial.protocol import Decoder, Frame, Request, Status, encode

_SLICE_SECONDS = 0.02


class PortError(ToolError):
    """The port cannot be opened, or was lost."""


class DeviceResetError(Exception):
    """The device started anew while a session was open."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: for an answer, for a call to return, and how often an answer is asked for."""

    answer_s: float = 1.0
    call_s: float = 60.0
    tries: int = 5


class Link:
    """An open port. ``session`` is 0 until ``open_session``."""

    def __init__(self, port: str, baud: int, timing: Timing) -> None:
        self.port, self.baud, self.timing = port, baud, timing
        self.session = 0
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._decoder = Decoder()
        self._arrived: deque[Frame] = deque()
        self._serial = _open(port, baud)

    def close(self) -> None:
        self._serial.close()

    def open_session(self) -> bytes:
        """Say HELLO under a new session number: the data of the answer."""
        self.session = 0
        session = int.from_bytes(os.urandom(4), "little") | 1
        reply = self._exchange(Request.HELLO, b"", session)
        self.session = session
        return reply.data

    def request(self, kind: Request, data: bytes = b"", runs_s: float = 0.0) -> Frame:
        """The answer, whatever its status; DeviceResetError where the session is lost.

        ``runs_s``: seconds after which the device ends a run of a call by itself.
        """
        return self._exchange(kind, data, self.session, runs_s)

    def _exchange(self, kind: Request, data: bytes, session: int, runs_s: float = 0.0) -> Frame:
        self._sequence = (self._sequence + 1) & 0xFFFF
        sent = encode(Frame(kind, 0, self._sequence, session, data))
        for attempt in range(self.timing.tries):
            self._write(sent)
            # A line at 9600 baud takes its time: what is sent and answered counts as waiting.
            on_line = 10 * (len(sent) + 1200) / self.baud
            reply = self._wait(kind, session, self.timing.answer_s * (1 + attempt) + on_line)
            if reply is not None and reply.status == Status.RUNNING:
                reply = self._wait_for_call(kind, session, sent, runs_s)
            if reply is not None:
                return reply
        raise ToolError(
            f"{self.port} does not answer at {self.baud} baud ({self.timing.tries} requests in "
            f"{self.timing.answer_s * self.timing.tries * (self.timing.tries + 1) / 2:.0f} s); "
            "check the cable, that this is the board's port, and that the firmware of this "
            "tinytailor is on it, then press its reset button."
        )

    def _wait_for_call(self, kind: Request, session: int, sent: bytes, runs_s: float) -> Frame:
        """The result of a call that runs; it is asked for ever more rarely, as it may be lost.

        The device says RUNNING before each run.
        """
        allowed = runs_s + 2 + 2 * self.timing.answer_s
        end, pause = time.monotonic() + allowed, self.timing.answer_s
        while time.monotonic() < end:
            reply = self._wait(kind, session, min(pause, end - time.monotonic()))
            if reply is None:
                self._write(sent)
                pause *= 2
            elif reply.status == Status.RUNNING:
                end = time.monotonic() + allowed
            else:
                return reply
        raise ToolError(
            f"the call on {self.port} has not returned within {allowed:.0f} s; press the "
            "reset button of the board, and allow more time if the call needs it."
        )

    def _wait(self, kind: Request, session: int, seconds: float) -> Frame | None:
        """The answer to the request in flight, None where none comes in time."""
        end = time.monotonic() + max(seconds, _SLICE_SECONDS)
        while time.monotonic() < end:
            if not self._arrived:
                self._arrived.extend(self._decoder.feed(self._read()))
            while self._arrived:
                frame = self._arrived.popleft()
                if not frame.is_reply:
                    continue
                if self.session and frame.kind == Request.HELLO and frame.session == 0:
                    raise DeviceResetError
                if (frame.kind, frame.sequence, frame.session) != (kind, self._sequence, session):
                    continue
                if frame.status == Status.NO_SESSION:
                    raise DeviceResetError
                return frame
        return None

    def _read(self) -> bytes:
        try:
            return bytes(self._serial.read(max(1, self._serial.in_waiting)))
        except (OSError, TypeError) as error:  # TypeError: pyserial on a port closed meanwhile
            raise PortError(
                f"{self.port} was lost while it was read ({error}); check the cable."
            ) from error

    def _write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except OSError as error:
            raise PortError(
                f"{self.port} was lost while it was written ({error}); check the cable."
            ) from error


def _open(port: str, baud: int) -> serial.SerialBase:
    try:
        opened = serial.serial_for_url(port, baudrate=baud, timeout=_SLICE_SECONDS, write_timeout=5)
    except (OSError, ValueError) as error:
        raise PortError(
            f"cannot open the serial port {port}: {_reason(error)}; check the cable, the name "
            "(`python -m serial.tools.list_ports`) and, on Linux, that you are in the group of the "
            "port (dialout)."
        ) from error
    return opened


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error).rpartition("] ")[2].rstrip(".")
