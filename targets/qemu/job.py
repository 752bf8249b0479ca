# SPDX-License-Identifier: Apache-2.0
"""One QEMU process: started stopped, then run from call to call through its GDB server.

the runner's page    stop: nop, nop <- breakpoint      a call returns to stop
                     fault: nop <- breakpoint          the vectors of all faults point here
"""

from __future__ import annotations

import array
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from tinytailor.targets.board import Board
from tinytailor.targets.emulator.accounting import REGION_ROW
from tinytailor.targets.emulator.counter import HEADERS
from tinytailor.targets.emulator.job import counts_of_calls
from tinytailor.targets.emulator.records import Call, CallResult, Counts
from tinytailor.targets.errors import CheckError, ToolError
from tinytailor.targets.host_library import host_library
from tinytailor.targets.image import LoadedImage, load_image
from tinytailor.targets.placement import (
    GUARD_BYTES,
    PAINT,
    POISON,
    Place,
    check_flash,
    fault,
    function_address,
    place,
    static_gaps,
    trespass,
)
from tinytailor.targets.qemu.gdb import Closed, Gdb
from tinytailor.targets.qemu.machines import Machine, machine_of

QEMU = "qemu-system-arm"
START_SECONDS = 20.0
FAULT_OFFSET = 16
FAULT_VECTORS = range(2, 7)  # NMI, HardFault, MemManage, BusFault, UsageFault
NOP = b"\x00\xbf"
SP, LR, PC = 13, 14, 15
STACKED_PC = 24  # in the frame that an exception pushes
FAILURES = (
    "",
    "out of memory",
    "calls nest too deeply",
    "an unaligned access that the real core does not allow",
)
PLUGIN = Path(__file__).with_name("plugin.c")


def qemu_command() -> str:
    path = shutil.which(QEMU)
    if path is None:
        raise ToolError(f"{QEMU} is not on PATH; install it (Debian: qemu-system-arm).")
    return path


@lru_cache
def plugin_api(qemu: str) -> int:
    """The version of its plugin interface: QEMU loads no plugin that says another one."""
    text = subprocess.run([qemu, "--version"], capture_output=True, text=True).stdout
    numbers = text.partition("version ")[2].split(maxsplit=1)[:1]
    try:
        major, minor = (int(part) for part in numbers[0].split(".")[:2])
    except (IndexError, ValueError):
        raise ToolError(f"{qemu} --version says {text[:80]!r}; expected a version.") from None
    return 1 if (major, minor) < (9, 0) else 2 if (major, minor) < (9, 1) else 4


def run_job(
    image: Path,
    board: Board,
    calls: Sequence[Call],
    regions: Mapping[str, str],
    count: bool,
    on_progress: Callable[[int], None] | None,
    timeout_s: float,
) -> list[CallResult]:
    """See ``targets.qemu.run``."""
    machine, loaded = machine_of(board), load_image(image)
    check_flash(image, loaded, board)
    places = [place(image, loaded, board, call) for call in calls]
    names = ["", *dict.fromkeys(name for name in regions.values() if name)]
    with tempfile.TemporaryDirectory(prefix="tinytailor-") as name:
        folder = Path(name)
        if count:
            entries = sorted(
                (function_address(image, loaded.sizes, symbol), names.index(region))
                for symbol, region in regions.items()
            )
            _write_plugin_job(folder, machine, board, loaded, entries, len(names))
        with _started(folder, image, machine, count) as gdb:
            session = Session(gdb, image, board, machine, loaded, calls, timeout_s)
            session.start(count)
            done = []
            for number, where in enumerate(places):
                done.append(session.call(number, where))
                if on_progress is not None:
                    on_progress(number + 1)
        counts: list[dict[str, Counts]] = [{} for _ in calls]
        if count:
            counts = _counts(folder, image, board, loaded, calls, names)
    return [
        CallResult(outputs, count_, stack)
        for (outputs, stack), count_ in zip(done, counts, strict=True)
    ]


class Session:
    """The calls of one image on one machine."""

    def __init__(
        self,
        gdb: Gdb,
        image: Path,
        board: Board,
        machine: Machine,
        loaded: LoadedImage,
        calls: Sequence[Call],
        timeout_s: float,
    ) -> None:
        self.gdb, self.board, self.calls, self.timeout_s = gdb, board, calls, timeout_s
        self.image, self.loaded = image, loaded
        self.stop = machine.runner_page
        self.fault = machine.runner_page + FAULT_OFFSET
        self.painted: tuple[int, int] | None = None
        self.untouched: list[tuple[int, bytes]] = []

    def start(self, count: bool) -> None:
        """Prepare the machine and run the start-up code up to main."""
        gdb, board = self.gdb, self.board
        gdb.write(self.stop, NOP * FAULT_OFFSET)
        vectors = b"".join(struct.pack("<I", self.fault | 1) for _ in FAULT_VECTORS)
        gdb.write(board.flash.base + 4 * FAULT_VECTORS[0], vectors)
        gdb.write(board.ram.base, bytes([POISON]) * board.ram.bytes)
        main = function_address(self.image, self.loaded.sizes, "main")
        for address in (self.stop + len(NOP), self.fault, main):
            gdb.set_breakpoint(address)
        self._run(None, main)
        gdb.clear_breakpoint(main)
        gaps = static_gaps(self.loaded, board)
        self.untouched = [(start, gdb.read(start, size)) for start, size in gaps]
        if count:  # ends what the plugin takes for a call
            gdb.write_register(PC, self.stop)
            self._run(None, self.stop + len(NOP))

    def call(self, number: int, where: Place) -> tuple[tuple[bytes, ...], int]:
        """Write the buffers, pass the pointers, run: the outputs and the depth of the stack."""
        gdb, call = self.gdb, self.calls[number]
        low, stack = where.stack_low, where.stack
        if self.painted != (low, stack):
            gdb.write(low, bytes([PAINT]) * (stack - low))
        kept = [(start, bytes([POISON]) * size) for start, size in where.gaps]
        for address, buffer in zip(where.buffers, call.buffers, strict=True):
            content = bytes([POISON]) * buffer.size if buffer.data is None else buffer.data
            gdb.write(address, content)
            if buffer.constant:
                kept.append((address, content))
        for start, content in kept:
            gdb.write(start, content)
        for register, pointer in enumerate(where.buffers[:4]):
            gdb.write_register(register, pointer)
        rest = where.buffers[4:]
        gdb.write(stack, struct.pack(f"<{len(rest)}I", *rest))
        gdb.write_register(SP, stack)
        gdb.write_register(LR, self.stop | 1)
        gdb.write_register(PC, where.entry)
        self._run(number, self.stop + len(NOP))
        used = self._stack_bytes(number, where)
        for start, before in (*self.untouched, *kept):
            after = gdb.read(start, len(before))
            if after != before:
                message = trespass(self.loaded.sizes, start, before, after)
                raise self._failed(number, where.entry, message)
        gdb.write(stack - used, bytes([PAINT]) * used)
        self.painted = low, stack
        outputs = tuple(
            gdb.read(address, buffer.size)
            for address, buffer in zip(where.buffers, call.buffers, strict=True)
            if buffer.read_back
        )
        return outputs, used

    def _stack_bytes(self, number: int, where: Place) -> int:
        """How far below its start the stack was written, in whole words."""
        room = where.stack - where.stack_low - GUARD_BYTES
        content = self.gdb.read(where.stack_low, where.stack - where.stack_low)
        used = len(content.lstrip(bytes([PAINT])))
        if used > room:
            raise self._failed(number, where.entry, f"the stack overflowed the {room} bytes it has")
        return (used + 3) // 4 * 4

    def _run(self, call: int | None, expected: int) -> None:
        in_time = self.gdb.run(self.timeout_s)
        if not in_time:
            self.gdb.interrupt()
        pc = self.gdb.read_register(PC)
        if not in_time:
            raise self._failed(call, pc, f"did not return within {self.timeout_s:g} s")
        if pc == self.fault:
            frame = self.gdb.read_register(SP)
            at = int.from_bytes(self.gdb.read(frame + STACKED_PC, 4), "little")
            raise self._failed(call, at, "a fault: an access or instruction the core refuses")
        if pc != expected:
            raise self._failed(call, pc, "stopped where it should not")

    def _failed(self, call: int | None, pc: int, message: str) -> CheckError:
        return fault(self.image, self.loaded.sizes, self.calls, call, pc, message, "QEMU")


@contextmanager
def _started(folder: Path, image: Path, machine: Machine, count: bool) -> Iterator[Gdb]:
    """A stopped QEMU with the image loaded; it ends with the block."""
    qemu, door = qemu_command(), folder / "gdb"
    command = [qemu, "-M", machine.name, *machine.options, "-kernel", str(image.resolve())]
    command += ["-display", "none", "-monitor", "none", "-serial", "none", "-S"]
    command += ["-gdb", f"unix:{door},server=on,wait=off"]
    if count:
        define = f"PLUGIN_API={plugin_api(qemu)}"
        library = host_library(PLUGIN, HEADERS, "the plugin of QEMU", [define])
        command += ["-plugin", f"{library},folder={folder}"]
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            gdb = _connect(process, door, folder)
            try:
                yield gdb
            finally:
                gdb.close()
        except (Closed, ConnectionError) as error:
            raise _ended(process, folder) from error
        finally:
            process.kill()
            process.wait()


def _connect(process: subprocess.Popen[bytes], door: Path, folder: Path) -> Gdb:
    try:
        return Gdb(door, START_SECONDS, lambda: process.poll() is None)
    except OSError as error:
        raise _ended(process, folder) from error


def _ended(process: subprocess.Popen[bytes], folder: Path) -> ToolError:
    lines = (folder / "errors.txt").read_text(errors="replace").strip().splitlines()
    text = lines[0] if lines else "it said nothing"
    hint = ""
    if "plugin" in text:
        hint = "; counting needs a QEMU with plugins, verifying does not"
    return ToolError(f"{QEMU} ended early (exit {process.poll()}): {text}{hint}")


def _write_plugin_job(
    folder: Path,
    machine: Machine,
    board: Board,
    loaded: LoadedImage,
    entries: Sequence[tuple[int, int]],
    n_regions: int,
) -> None:
    """plugin.bin, as plugin.c describes it."""
    flash = _flash(board, loaded)
    head = [machine.runner_page, board.flash.base, len(flash), int(board.core.aligned_only)]
    addresses, regions = [a for a, _ in entries], [r for _, r in entries]
    sizes = [n_regions, len(entries), len(loaded.functions)]
    words = array.array("q", [*head, *sizes, *loaded.functions, *addresses, *regions])
    (folder / "plugin.bin").write_bytes(words.tobytes() + flash)


def _flash(board: Board, loaded: LoadedImage) -> bytes:
    """What lies in flash from its start to the end of the image."""
    end = max(segment.address + len(segment.data) for segment in loaded.segments)
    flash = bytearray(end - board.flash.base + 4)
    for segment in loaded.segments:
        start = segment.address - board.flash.base
        flash[start : start + len(segment.data)] = segment.data
    return bytes(flash)


def _counts(
    folder: Path,
    image: Path,
    board: Board,
    loaded: LoadedImage,
    calls: Sequence[Call],
    names: Sequence[str],
) -> list[dict[str, Counts]]:
    """Counts by region of each call; the start-up code comes first and is left out."""
    width = 3 + REGION_ROW * len(names)
    rows = array.array("q", (folder / "calls.bin").read_bytes())
    records = [rows[i : i + width] for i in range(0, len(rows), width)]
    if len(records) != len(calls) + 1:
        raise ToolError(f"the plugin of {QEMU} saw {len(records) - 1} calls, not {len(calls)}.")
    for number, record in enumerate(records):
        if record[1]:
            message, call = FAILURES[record[1]], number - 1 if number else None
            raise fault(image, loaded.sizes, calls, call, record[2], message, "QEMU")
    flash = _flash(board, loaded)
    blocks = array.array("q", (folder / "blocks.bin").read_bytes())
    code = b"".join(
        flash[address - board.flash.base : address - board.flash.base + size]
        for address, size in zip(blocks[3::3], blocks[4::3], strict=True)
    )
    edges = [record[0] for record in records]
    regions = [record[3:] for record in records]
    return counts_of_calls(folder, code, edges, regions, names, board)[1:]
