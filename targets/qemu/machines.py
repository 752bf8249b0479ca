# SPDX-License-Identifier: Apache-2.0
"""The QEMU machine that stands for a core, and a board with the memories of that machine.

    core             machine      flash        RAM
    cortex-m0plus    microbit     0x00000000   0x20000000   a Cortex-M0: the same instruction set
    cortex-m3        mps2-an385   0x00000000   0x20000000
    cortex-m4        mps2-an386   0x00000000   0x20000000
    cortex-m7        mps2-an500   0x00000000   0x20000000
    cortex-m33       mps2-an505   0x10000000   0x38000000   secure aliases, as it starts secure
    cortex-m55       mps3-an547   0x00000000   0x30000000   the tightly coupled memories

There is a Cortex-M33 with its DSP extension and FPU on no other machine of QEMU 7.2. An image runs
on another address than on its board, which changes literals, not instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tinytailor.targets.board import PAGE_BYTES, Board, MemoryRegion
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of ``qemu-system-arm`` and the memory of it that is used.

    Code lies in ``flash`` but for its last page, which belongs to the runner. ``options`` are
    further arguments of QEMU.
    """

    name: str
    flash: MemoryRegion
    ram: MemoryRegion
    options: tuple[str, ...] = ()

    @property
    def runner_page(self) -> int:
        return self.flash.end - PAGE_BYTES


_KIB, _MIB = 1 << 10, 1 << 20
_MPS2 = (MemoryRegion(0x00000000, 4 * _MIB), MemoryRegion(0x20000000, 4 * _MIB))
# The chip of the microbit has 16 KiB of RAM in QEMU unless it is told otherwise.
_MICROBIT = (MemoryRegion(0x00000000, 2 * _MIB), MemoryRegion(0x20000000, 1 * _MIB))
_LARGER = (
    *("-global", f"nrf51-soc.sram-size={_MICROBIT[1].bytes}"),
    *("-global", f"nrf51-soc.flash-size={_MICROBIT[0].bytes}"),
)

MACHINES: Mapping[str, Machine] = MappingProxyType(
    {
        "cortex-m0plus": Machine("microbit", *_MICROBIT, _LARGER),
        "cortex-m3": Machine("mps2-an385", *_MPS2),
        "cortex-m4": Machine("mps2-an386", *_MPS2),
        "cortex-m7": Machine("mps2-an500", *_MPS2),
        "cortex-m33": Machine(
            "mps2-an505", MemoryRegion(0x10000000, 4 * _MIB), MemoryRegion(0x38000000, 4 * _MIB)
        ),
        "cortex-m55": Machine(
            "mps3-an547", MemoryRegion(0x00000000, 512 * _KIB), MemoryRegion(0x30000000, 512 * _KIB)
        ),
    }
)


def machine_of(board: Board) -> Machine:
    machine = MACHINES.get(board.core.name)
    if machine is None:
        raise InputError(
            f"there is no QEMU machine for {board.core.name}, the core of {board.name}; "
            f"expected one of {', '.join(MACHINES)}."
        )
    return machine


def machine_board(board: Board) -> Board:
    """``board`` with its memories where the machine has some, no larger than they are."""
    machine = machine_of(board)
    flash = min(board.flash.bytes, machine.flash.bytes - PAGE_BYTES)
    ram = min(board.ram.bytes, machine.ram.bytes)
    return replace(
        board,
        flash=MemoryRegion(machine.flash.base, flash),
        ram=MemoryRegion(machine.ram.base, ram),
        boot=None,
    )
