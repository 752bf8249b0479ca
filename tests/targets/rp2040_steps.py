# SPDX-License-Identifier: Apache-2.0
"""An RP2040 as far as its start needs it: a core, memories, and a few registers that answer.

    python rp2040_steps.py '{"elf": ..., "run": "boot" | "port", "reset": ..., "broken": [...]}'

boot    what the ROM does: 256 bytes of flash to the end of SRAM, and jump there
port    tt_port_init(125 MHz, 115200), then 'A' is sent; "broken" parts never become ready
Prints as JSON where it ended, and all that was written to registers, in order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

FLASH, RAM, STAGE, STOP = 0x10000000, 0x20000000, 0x20041F00, 0x1FFFF000
SSI, SYSTEM = 0x18000000, 0xE000E000
CLOCKS, RESETS, IO, PADS = 0x40008000, 0x4000C000, 0x40014000, 0x4001C000
XOSC, PLL, UART = 0x40024000, 0x40028000, 0x40034000
READY = 1 << 31


class Chip:
    """The core with its memories; reads of status registers give what the others make of them."""

    def __init__(self, elf: str, broken: list[str]) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M0)
        for page in (SSI, SYSTEM, CLOCKS, RESETS, IO, PADS, XOSC, PLL, UART, STAGE & ~0xFFF, STOP):
            self.uc.mem_map(page, 4096)
        self.uc.mem_map(FLASH, 1 << 21)
        self.uc.mem_map(RAM, 1 << 18)
        with open(elf, "rb") as file:
            image = ELFFile(file)
            for segment in image.iter_segments("PT_LOAD"):
                self.uc.mem_write(segment["p_paddr"], segment.data())
            symbols = image.get_section_by_name(".symtab")
            self.symbols = {s.name: s["st_value"] for s in symbols.iter_symbols()}
        self.put(RESETS, 0x01FFFFFF)
        self.put(PLL + 4, 0x2D)
        self.writes: list[tuple[int, int]] = []
        self.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._written)
        self._answers(broken)

    def put(self, address: int, value: int) -> None:
        self.uc.mem_write(address, value.to_bytes(4, "little"))

    def get(self, address: int) -> int:
        return int.from_bytes(self.uc.mem_read(address, 4), "little")

    def _written(self, uc: Any, kind: int, address: int, size: int, value: int, user: Any) -> None:
        if address not in range(RAM, RAM + (1 << 18)):
            self.writes.append((address, value & 0xFFFFFFFF))

    def _answer(self, address: int, value: Callable[[], int]) -> None:
        """What a read of a status register gives."""

        def read(uc: Any, kind: int, at: int, size: int, written: int, user: Any) -> None:
            self.put(address, value())

        self.uc.hook_add(unicorn.UC_HOOK_MEM_READ, read, begin=address, end=address)

    def _answers(self, broken: list[str]) -> None:
        """Registers of parts that are broken stay as they are."""
        self._answer(RESETS + 8, lambda: ~self.get(RESETS) & 0x01FFFFFF)
        self._answer(CLOCKS + 0x38, lambda: 1 << (self.get(CLOCKS + 0x30) & 3))
        self._answer(CLOCKS + 0x44, lambda: 1 << (self.get(CLOCKS + 0x3C) & 1))
        if "crystal" not in broken:
            self._answer(XOSC + 4, lambda: READY if self.get(XOSC) >> 12 == 0xFAB else 0)
        if "pll" not in broken:
            self._answer(PLL, lambda: self.get(PLL) | (0 if self.get(PLL + 4) & 0x21 else READY))

    def run(self, pc: int, end: int) -> None:
        self.uc.emu_start(pc | 1, end & ~1)


def boot(chip: Chip, reset: int) -> dict[str, Any]:
    chip.uc.mem_write(STAGE, bytes(chip.uc.mem_read(FLASH, 256)))
    chip.uc.reg_write(arm.UC_ARM_REG_SP, STAGE)
    chip.uc.reg_write(arm.UC_ARM_REG_LR, 0)
    chip.run(STAGE, reset)
    return {
        "pc": chip.uc.reg_read(arm.UC_ARM_REG_PC),
        "sp": chip.uc.reg_read(arm.UC_ARM_REG_MSP),
        "vtor": chip.get(SYSTEM + 0xD08),
        "writes": chip.writes,
    }


def port(chip: Chip) -> dict[str, Any]:
    report = RAM + 0x20000
    chip.uc.reg_write(arm.UC_ARM_REG_SP, RAM + (1 << 18))
    arguments = {"R0": report, "R1": 125_000_000, "R2": 115_200, "LR": STOP | 1}
    for register, value in arguments.items():
        chip.uc.reg_write(getattr(arm, f"UC_ARM_REG_{register}"), value)
    chip.run(chip.symbols["tt_port_init"], STOP)
    chip.uc.reg_write(arm.UC_ARM_REG_R0, ord("A"))
    chip.uc.reg_write(arm.UC_ARM_REG_LR, STOP | 1)
    chip.run(chip.symbols["tt_port_putc"], STOP)
    status = chip.get(report + 4) & 255
    return {"clock_hz": chip.get(report), "status": status, "writes": chip.writes}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    chip = Chip(job["elf"], job.get("broken", []))
    print(json.dumps(boot(chip, job["reset"]) if job["run"] == "boot" else port(chip)))
