# SPDX-License-Identifier: Apache-2.0
"""The slow truth: run functions instruction by instruction and print what happened as JSON.

    python single_step.py '[{"elf": ..., "cpu": "CORTEX_M4", "entry": ..., "pointers": [...],
                            "writes": [[address, hex], ...], "flash": [...], "ram": [...]}, ...]'

It shares no code with the emulator that it checks: its hook runs before each single instruction,
but not before those that an IT block skips; they are put back, as they take their cycle too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

STOP = 0x10000000


def with_skipped(trace: list[int], code: Callable[[int], bytes]) -> Iterator[tuple[int, str]]:
    """Addresses and codes of the executed instructions and of those that IT blocks skipped."""
    covered, expected = 0, 0
    for pc in trace:
        while covered and pc != expected:
            yield expected, code(expected).hex()
            expected += len(code(expected))
            covered -= 1
        text = code(pc)
        yield pc, text.hex()
        expected, covered = pc + len(text), max(0, covered - 1)
        if text[1] == 0xBF and text[0] & 0xF:
            lowest = text[0] & -text[0] & 0xF
            covered = 4 - (lowest.bit_length() - 1)


def trace_of(job: dict[str, Any]) -> dict[str, Any]:
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{job['cpu']}"))
    for base, size in (job["flash"], job["ram"], (STOP, 4096)):
        uc.mem_map(base, size)
    with open(job["elf"], "rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            for address in (segment["p_paddr"], segment["p_vaddr"]):
                uc.mem_write(address, segment.data())
    for address, data in job["writes"]:
        uc.mem_write(address, bytes.fromhex(data))
    for i, pointer in enumerate(job["pointers"]):
        uc.reg_write(getattr(arm, f"UC_ARM_REG_R{i}"), pointer)
    uc.reg_write(arm.UC_ARM_REG_SP, sum(job["ram"]))
    uc.reg_write(arm.UC_ARM_REG_LR, STOP | 1)
    trace, reads = [], []
    uc.hook_add(unicorn.UC_HOOK_CODE, lambda uc, pc, size, user: trace.append(pc))
    uc.hook_add(
        unicorn.UC_HOOK_MEM_READ,
        lambda uc, kind, address, size, value, user: reads.append((address, size)),
    )
    uc.emu_start(job["entry"] | 1, STOP)
    flash, size = job["flash"]

    def code(pc: int) -> bytes:
        half = bytes(uc.mem_read(pc, 2))
        return half if half[1] < 0xE8 else bytes(uc.mem_read(pc, 4))

    steps = list(with_skipped([pc for pc in trace if pc != STOP], code))
    flash_reads = [n for address, n in reads if flash <= address < flash + size]
    return {"steps": steps, "flash_reads": flash_reads}


if __name__ == "__main__":
    print(json.dumps([trace_of(job) for job in json.loads(sys.argv[1])]))
