# SPDX-License-Identifier: Apache-2.0
"""The process that emulates: ``python -m tinytailor.targets.emulator.worker FOLDER``.

It reads FOLDER/job.json and input.bin, and writes result.json, output.bin and, when counting,
blocks.bin, code.bin and edges.bin (rows of int64). A line "<calls done>" on stdout is progress.
It stands apart because unicorn is licensed under the GPL: nothing else of this project imports it.

    memory    flash (no writes) | ram | system control page | a page to return to, where calls stop
    a call    r0..r3 and the stack hold the buffer pointers, lr = stop, sp = end of ram
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_BLOCK,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    Uc,
    UcError,
    arm_const,
)
from unicorn.unicorn_py3.unicorn import uclib

CPUS = {
    "cortex-m0": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
}
SYSTEM_CONTROL_PAGE = 0xE000E000
ARGUMENT_REGISTERS = tuple(getattr(arm_const, f"UC_ARM_REG_R{i}") for i in range(4))
PROGRESS_SECONDS = 0.1
WATCH_SECONDS = 0.05
CHUNK = 1 << 14


class FaultError(Exception):
    """The program did something the core cannot do, or did not end; call None is the start-up."""

    def __init__(self, message: str, pc: int) -> None:
        super().__init__(message)
        self.pc = pc
        self.call: int | None = None
        self.changed: tuple[int, str, str] | None = None  # address, bytes before and after


class Setup(ctypes.Structure):
    """``struct setup`` of counter.c."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("read_register", "write_register", "read_memory", "stop_engine")
        ),
        *(
            (name, ctypes.c_int32)
            for name in ("link_register", "program_counter", "status_register")
        ),
        *((name, ctypes.c_uint32) for name in ("stop", "flash_begin", "flash_end")),
        ("aligned_only", ctypes.c_int32),
    )


class Code(ctypes.Structure):
    """``struct code`` of fetches.h."""

    _fields_ = (
        ("begin", ctypes.c_uint32),
        ("bytes", ctypes.c_uint32),
        ("n_functions", ctypes.c_int32),
        ("functions", ctypes.POINTER(ctypes.c_uint32)),
    )


class Counter:
    """counter.c, hooked into an emulator: block counts if wanted, and the checks of accesses."""

    FAILURES = (
        "",
        "out of memory",
        "regions nest too deeply",
        "an unaligned access that the real core does not allow",
    )

    def __init__(self, job: dict[str, Any], uc: Uc) -> None:
        self.library = ctypes.CDLL(job["counter_library"])
        self.library.counter_new.restype = ctypes.c_void_p
        entries = sorted(job["entries"])
        count = len(entries)
        self.regions = job["n_regions"]
        flash, size = job["flash"]
        setup = Setup(
            *(
                ctypes.cast(getattr(uclib, f"uc_{name}"), ctypes.c_void_p)
                for name in ("reg_read", "reg_write", "mem_read", "emu_stop")
            ),
            arm_const.UC_ARM_REG_LR,
            arm_const.UC_ARM_REG_PC,
            arm_const.UC_ARM_REG_XPSR,
            job["stop"],
            flash,
            flash + size,
            job["aligned_only"],
        )
        end = max(address + size for address, _, size in job["segments"])
        functions = (ctypes.c_uint32 * len(job["functions"]))(*job["functions"])
        code = Code(flash, end - flash, len(functions), functions)
        self.handle = ctypes.c_void_p(
            self.library.counter_new(
                ctypes.byref(setup),
                ctypes.byref(code),
                count,
                (ctypes.c_uint32 * count)(*(address for address, _ in entries)),
                (ctypes.c_int32 * count)(*(region for _, region in entries)),
                self.regions,
            )
        )
        if not self.handle:
            raise MemoryError("no memory for the counters")
        if job["count"]:
            self._hook(uc, UC_HOOK_BLOCK, self.library.on_block)
        self._hook(uc, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self.library.on_access)

    def _hook(self, uc: Uc, kind: int, function: Any) -> None:
        # past the binding's own hook_add, which would wrap a Python function around each event
        status = uclib.uc_hook_add(
            uc._uch,
            ctypes.byref(ctypes.c_size_t()),
            kind,
            ctypes.cast(function, ctypes.c_void_p),
            self.handle,
            ctypes.c_uint64(1),  # from 1 to 0 is everywhere
            ctypes.c_uint64(0),
        )
        if status != 0:
            raise UcError(status)

    def begin(self) -> None:
        self.library.counter_begin(self.handle)

    def check(self) -> None:
        pc = ctypes.c_uint32()
        failed = self.library.counter_failed(self.handle, ctypes.byref(pc))
        if failed:
            raise FaultError(self.FAILURES[failed], pc.value)

    def end(self) -> tuple[bytes, list[int]]:
        """Rows of edges (from, to, count), and the row of each region: ``edges.h``."""
        self.library.counter_end(self.handle)
        self.check()
        rows = self.library.counter_copy_edges(self.handle, None)
        edges = (ctypes.c_int64 * (3 * rows))()
        self.library.counter_copy_edges(self.handle, edges)
        regions = (ctypes.c_int64 * (self.library.counter_row() * self.regions))()
        self.library.counter_copy_rows(self.handle, regions)
        return bytes(edges), list(regions)

    def blocks(self) -> list[int]:
        """Address, size and region of each block, one after the other."""
        rows = (ctypes.c_int64 * (3 * self.library.counter_blocks(self.handle)))()
        self.library.counter_copy_blocks(self.handle, rows)
        return list(rows)


class Watchdog(threading.Thread):
    """Stops an emulation that takes too long, and the process when nobody waits for it any more.

    unicorn's own time-out costs each call a thread.
    """

    def __init__(self, uc: Uc, timeout_s: float) -> None:
        super().__init__(daemon=True)
        self.uc = uc
        self.timeout_s = timeout_s
        self.deadline = math.inf
        self.parent = os.getppid()
        self.start()

    def run(self) -> None:
        while True:
            time.sleep(min(WATCH_SECONDS, self.timeout_s))
            if os.getppid() != self.parent:
                os._exit(1)
            if time.monotonic() > self.deadline:
                self.uc.emu_stop()

    def execute(self, entry: int, stop: int) -> None:
        """Run from ``entry`` to ``stop``, or FaultError."""
        self.deadline = time.monotonic() + self.timeout_s
        try:
            self.uc.emu_start(entry | 1, stop)
        except UcError as error:
            raise FaultError(str(error), self.uc.reg_read(arm_const.UC_ARM_REG_PC)) from error
        finally:
            self.deadline = math.inf
        pc = self.uc.reg_read(arm_const.UC_ARM_REG_PC)
        if pc != stop:
            raise FaultError(f"did not return within {self.timeout_s:g} s", pc)


class Machine:
    """An emulated core with flash programmed, RAM filled, and the start-up code run up to main."""

    def __init__(self, job: dict[str, Any], data: bytes) -> None:
        self.job, self.data = job, data
        self.uc = uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(CPUS[job["cpu"]])
        flash, ram = job["flash"], job["ram"]
        uc.mem_map(flash[0], flash[1], UC_PROT_READ | UC_PROT_EXEC)
        self.ram = mmap.mmap(-1, ram[1])  # shared with the emulator, as copying it is slow
        self.ram[:] = bytes([job["poison"]]) * ram[1]
        memory = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        uc.mem_map_ptr(ram[0], ram[1], UC_PROT_ALL, memory)
        uc.mem_map(SYSTEM_CONTROL_PAGE, 4096)
        uc.mem_map(job["stop"], 4096)
        for address, offset, size in job["segments"]:
            uc.mem_write(address, data[offset : offset + size])
        self.watchdog = Watchdog(uc, job["timeout_s"])
        self.poison = bytes([job["poison"]])
        self.paint = bytes([job["paint"]]) * ram[1]
        self.painted: tuple[int, int] | None = None
        stack, reset = struct.unpack("<II", uc.mem_read(job["vectors"], 8))
        uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self.watchdog.execute(reset, job["main"])
        self.counter = Counter(job, uc) if job["counter_library"] else None
        self.untouched = [(start, self.read(start, size)) for start, size in job["static_gaps"]]

    def read(self, address: int, size: int) -> bytes:
        """Bytes of RAM."""
        start = address - self.job["ram"][0]
        return self.ram[start : start + size]

    def write(self, address: int, content: bytes) -> None:
        start = address - self.job["ram"][0]
        self.ram[start : start + len(content)] = content

    def call(self, one: dict[str, Any]) -> int:
        """Write the buffers, pass the pointers, run; returns how deep the stack was written."""
        uc, low, stack = self.uc, one["stack_low"], one["stack"]
        if self.painted != (low, stack):
            self.write(low, self.paint[: stack - low])
        self.painted = None
        kept = [(start, self.poison * size) for start, size in one["gaps"]]
        for address, size, offset, _, constant in one["buffers"]:
            filled = self.poison * size if offset is None else self.data[offset : offset + size]
            self.write(address, filled)
            if constant:
                kept.append((address, filled))
        for start, content in kept:
            self.write(start, content)
        pointers = [address for address, *_ in one["buffers"]]
        for register, pointer in zip(ARGUMENT_REGISTERS, pointers, strict=False):
            uc.reg_write(register, pointer)
        self.write(stack, struct.pack(f"<{len(pointers[4:])}I", *pointers[4:]))
        uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        uc.reg_write(arm_const.UC_ARM_REG_LR, self.job["stop"] | 1)
        try:
            self.watchdog.execute(one["entry"], self.job["stop"])
        finally:
            if self.counter:
                self.counter.check()  # if it stopped the run, then for this reason
        used = self._stack_bytes(one)
        self._check_kept((*self.untouched, *kept), one["entry"])
        self.write(stack - used, self.paint[:used])
        self.painted = low, stack
        return used

    def _check_kept(self, kept: Iterable[tuple[int, bytes]], entry: int) -> None:
        """FaultError where memory that the call may not write has changed."""
        for start, before in kept:
            after = self.read(start, len(before))
            if after != before:
                error = FaultError("it wrote where it may not", entry)
                error.changed = start, before.hex(), after.hex()
                raise error

    def _stack_bytes(self, one: dict[str, Any]) -> int:
        """How far below its start the stack was written, in whole words."""
        low, stack = one["stack_low"], one["stack"]
        at = low
        while self.read(at, min(CHUNK, stack - at)) == self.paint[:CHUNK]:
            at += CHUNK
        used = len(self.read(at, stack - at).lstrip(self.paint[:1]))
        room = stack - low - self.job["guard"]
        if used > room:
            raise FaultError(f"the stack overflowed the {room} bytes it has", one["entry"])
        return (used + 3) // 4 * 4


def run_calls(job: dict[str, Any], data: bytes, folder: Path, results: list[Any]) -> None:
    machine = Machine(job, data)
    counter = machine.counter if job["count"] else None
    shown = time.monotonic()
    with (folder / "output.bin").open("wb") as output, (folder / "edges.bin").open("wb") as edges:
        for done, one in enumerate(job["calls"], start=1):
            if counter:
                counter.begin()
            try:
                result: dict[str, Any] = {"stack_bytes": machine.call(one)}
                if counter:
                    rows, result["regions"] = counter.end()
                    result["edges"] = len(rows) // 24
                    edges.write(rows)
            except FaultError as fault:
                fault.call = done - 1
                raise
            for address, size, _, read_back, _ in one["buffers"]:
                if read_back:
                    output.write(machine.read(address, size))
            results.append(result)
            if done == len(job["calls"]) or time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                print(done, flush=True)
    if counter:
        write_blocks(machine.uc, counter.blocks(), folder)


def write_blocks(uc: Uc, blocks: list[int], folder: Path) -> None:
    (folder / "blocks.bin").write_bytes(struct.pack(f"<{len(blocks)}q", *blocks))
    code = [uc.mem_read(blocks[i], blocks[i + 1]) for i in range(3, len(blocks), 3)]
    (folder / "code.bin").write_bytes(b"".join(code))


def main(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    results: list[Any] = []
    fault = None
    try:
        run_calls(job, (folder / "input.bin").read_bytes(), folder, results)
    except FaultError as error:
        fault = [error.call, error.pc, str(error), error.changed]
    (folder / "result.json").write_text(json.dumps({"calls": results, "fault": fault}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
