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
import struct
import sys
import time
from pathlib import Path
from typing import Any

from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_BLOCK,
    UC_HOOK_MEM_READ,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
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


class FaultError(Exception):
    """The program did something the core cannot do, or did not end; call None is the start-up."""

    def __init__(self, message: str, pc: int) -> None:
        super().__init__(message)
        self.pc = pc
        self.call: int | None = None


class Counter:
    """counter.c, hooked into an emulator."""

    def __init__(self, job: dict[str, Any], uc: Uc) -> None:
        self.library = ctypes.CDLL(job["counter_library"])
        self.library.counter_new.restype = ctypes.c_void_p
        entries = sorted(job["entries"])
        count = len(entries)
        self.regions = job["n_regions"]
        self.handle = ctypes.c_void_p(
            self.library.counter_new(
                ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p),
                arm_const.UC_ARM_REG_LR,
                job["stop"],
                count,
                (ctypes.c_uint32 * count)(*(address for address, _ in entries)),
                (ctypes.c_int32 * count)(*(region for _, region in entries)),
                self.regions,
            )
        )
        if not self.handle:
            raise MemoryError("no memory for the counters")
        flash, size = job["flash"]
        self._hook(uc, UC_HOOK_BLOCK, self.library.on_block, 1, 0)
        self._hook(uc, UC_HOOK_MEM_READ, self.library.on_flash_read, flash, flash + size - 1)

    def _hook(self, uc: Uc, kind: int, function: Any, begin: int, end: int) -> None:
        # past the binding's own hook_add, which would wrap a Python function around each event
        status = uclib.uc_hook_add(
            uc._uch,
            ctypes.byref(ctypes.c_size_t()),
            kind,
            ctypes.cast(function, ctypes.c_void_p),
            self.handle,
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
        )
        if status != 0:
            raise UcError(status)

    def begin(self) -> None:
        self.library.counter_begin(self.handle)

    def end(self) -> tuple[bytes, list[int]]:
        """Rows of edges (from, to, count), and reads and bytes of each region."""
        failed = self.library.counter_end(self.handle)
        if failed:
            raise FaultError(("out of memory", "regions nest too deeply")[failed - 1], 0)
        rows = self.library.counter_copy_edges(self.handle, None)
        edges = (ctypes.c_int64 * (3 * rows))()
        self.library.counter_copy_edges(self.handle, edges)
        reads = (ctypes.c_int64 * (2 * self.regions))()
        self.library.counter_copy_reads(self.handle, reads)
        return bytes(edges), list(reads)

    def blocks(self) -> list[int]:
        """Address, size and region of each block, one after the other."""
        rows = (ctypes.c_int64 * (3 * self.library.counter_blocks(self.handle)))()
        self.library.counter_copy_blocks(self.handle, rows)
        return list(rows)


def start(job: dict[str, Any], data: bytes) -> Uc:
    """Memory filled, flash programmed, the start-up code run up to main."""
    uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(CPUS[job["cpu"]])
    flash, ram = job["flash"], job["ram"]
    uc.mem_map(*flash, UC_PROT_READ | UC_PROT_EXEC)
    uc.mem_map(*ram)
    uc.mem_map(SYSTEM_CONTROL_PAGE, 4096)
    uc.mem_map(job["stop"], 4096)
    uc.mem_write(ram[0], bytes([job["poison"]]) * ram[1])
    for address, offset, size in job["segments"]:
        uc.mem_write(address, data[offset : offset + size])
    stack, reset = struct.unpack("<II", uc.mem_read(flash[0], 8))
    uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
    execute(uc, reset, job["main"], job["timeout_us"])
    return uc


def execute(uc: Uc, entry: int, stop: int, timeout_us: int) -> None:
    try:
        uc.emu_start(entry | 1, stop, timeout=timeout_us)
    except UcError as error:
        raise FaultError(str(error), uc.reg_read(arm_const.UC_ARM_REG_PC)) from error
    pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
    if pc != stop:
        raise FaultError(f"did not return within {timeout_us / 1e6:g} s", pc)


def call(uc: Uc, job: dict[str, Any], one: dict[str, Any], data: bytes) -> None:
    """Write the buffers, paint the stack, pass the pointers, run."""
    for address, size, offset, _ in one["buffers"]:
        filled = bytes([job["poison"]]) * size
        uc.mem_write(address, filled if offset is None else data[offset : offset + size])
    low, stack = one["stack_low"], one["stack"]
    uc.mem_write(low, bytes([job["paint"]]) * (stack - low))
    pointers = [address for address, *_ in one["buffers"]]
    for register, pointer in zip(ARGUMENT_REGISTERS, pointers, strict=False):
        uc.reg_write(register, pointer)
    uc.mem_write(stack, struct.pack(f"<{len(pointers[4:])}I", *pointers[4:]))
    uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
    uc.reg_write(arm_const.UC_ARM_REG_LR, job["stop"] | 1)
    execute(uc, one["entry"], job["stop"], job["timeout_us"])


def stack_bytes(uc: Uc, job: dict[str, Any], one: dict[str, Any]) -> int:
    """How far below its start the stack was written, in whole words."""
    low, stack = one["stack_low"], one["stack"]
    painted = bytes(uc.mem_read(low, stack - low))
    used = len(painted.lstrip(bytes([job["paint"]])))
    if used == stack - low:
        raise FaultError(f"the stack overflowed the {used} bytes it has", one["entry"])
    return (used + 3) // 4 * 4


def run_calls(job: dict[str, Any], data: bytes, folder: Path, results: list[Any]) -> None:
    uc = start(job, data)
    counter = Counter(job, uc) if job["counter_library"] else None
    shown = time.monotonic()
    with (folder / "output.bin").open("wb") as output, (folder / "edges.bin").open("wb") as edges:
        for done, one in enumerate(job["calls"], start=1):
            if counter:
                counter.begin()
            try:
                call(uc, job, one, data)
                result: dict[str, Any] = {"stack_bytes": stack_bytes(uc, job, one)}
                if counter:
                    rows, result["reads"] = counter.end()
                    result["edges"] = len(rows) // 24
                    edges.write(rows)
            except FaultError as fault:
                fault.call = done - 1
                raise
            for address, size, _, read_back in one["buffers"]:
                if read_back:
                    output.write(uc.mem_read(address, size))
            results.append(result)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                print(done, flush=True)
    if counter:
        write_blocks(uc, counter.blocks(), folder)


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
        fault = [error.call, error.pc, str(error)]
    (folder / "result.json").write_text(json.dumps({"calls": results, "fault": fault}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
