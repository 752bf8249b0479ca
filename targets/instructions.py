# SPDX-License-Identifier: Apache-2.0
"""Thumb instructions as the cycle models see them, decoded by capstone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Any

import capstone  # type: ignore[import-untyped]
from capstone import arm

from tinytailor.targets.errors import ToolError

_NOTHING: frozenset[int] = frozenset()


class Kind(Enum):
    """How an instruction uses memory."""

    OTHER = auto()
    LOAD = auto()
    STORE = auto()
    LOAD_DOUBLE = auto()
    STORE_DOUBLE = auto()
    LOAD_MULTIPLE = auto()
    STORE_MULTIPLE = auto()


class Transfer(Enum):
    """How an instruction can go elsewhere: b/cbz, bl, bx and writes of pc, pop, ldr, tbb."""

    IMMEDIATE = auto()
    CALL = auto()
    REGISTER = auto()
    POP = auto()
    LOAD = auto()
    TABLE = auto()


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. Registers are capstone's numbers; ``words`` are those it moves."""

    name: str
    size: int
    kind: Kind = Kind.OTHER
    words: int = 0
    is_float: bool = False
    transfer: Transfer | None = None
    reads: frozenset[int] = _NOTHING
    writes: frozenset[int] = _NOTHING
    loaded: frozenset[int] = _NOTHING
    address: frozenset[int] = _NOTHING


_LOADS = frozenset(
    f"{name}{width}"
    for name in ("ldr", "ldrex", "lda", "ldaex", "vldr")
    for width in ("", "b", "h", "sb", "sh", "t", "bt", "ht", "sbt", "sht")
)
_STORES = frozenset(
    f"{name}{width}"
    for name in ("str", "strex", "stl", "stlex", "vstr")
    for width in ("", "b", "h", "t", "bt", "ht")
)
_LOAD_MULTIPLES = frozenset(("ldm", "ldmdb", "pop", "vldmia", "vldmdb", "vpop"))
_STORE_MULTIPLES = frozenset(("stm", "stmdb", "push", "vstmia", "vstmdb", "vpush"))
_TRANSFERS = {
    "b": Transfer.IMMEDIATE,
    "cbz": Transfer.IMMEDIATE,
    "cbnz": Transfer.IMMEDIATE,
    "bl": Transfer.CALL,
    "bx": Transfer.REGISTER,
    "bxns": Transfer.REGISTER,
    "blx": Transfer.REGISTER,
    "blxns": Transfer.REGISTER,
    "tbb": Transfer.TABLE,
    "tbh": Transfer.TABLE,
}


def instruction_sizes(code: bytes) -> list[int]:
    """The sizes of consecutive Thumb instructions, from the five bits that tell them apart."""
    sizes, at = [], 0
    while at < len(code):
        size = 4 if code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        if at + size > len(code):
            raise ToolError(f"the code {code.hex()} ends within an instruction.")
        sizes.append(size)
        at += size
    return sizes


def decode(code: bytes) -> tuple[Instruction, ...]:
    """Consecutive Thumb instructions; ToolError where capstone does not know one."""
    found, at = [], 0
    for size in instruction_sizes(code):
        found.append(_decode_one(code[at : at + size]))
        at += size
    return tuple(found)


@cache
def _disassemblers() -> tuple[capstone.Cs, ...]:
    modes = (capstone.CS_MODE_MCLASS, capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8)
    engines = tuple(capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | m) for m in modes)
    for engine in engines:
        engine.detail = True
    return engines


@lru_cache(maxsize=1 << 16)
def _decode_one(code: bytes) -> Instruction:
    for engine in _disassemblers():
        for found in engine.disasm(code, 0x1000, count=1):
            return _describe(found, engine.insn_name(found.id))
    if len(code) == 4 and code[1] == 0xF3 and code[0] & 0xF0 == 0xA0 and code[3] == 0x80:
        return Instruction("nop", 4)  # an unallocated hint, which the architecture makes a no-op
    raise ToolError(f"the instruction {code.hex()} cannot be decoded, so its cycles are unknown.")


def _describe(found: Any, name: str) -> Instruction:
    reads, writes = map(frozenset, found.regs_access())
    registers = [o.reg for o in found.operands if o.type == arm.ARM_OP_REG]
    memory = [o.mem for o in found.operands if o.type == arm.ARM_OP_MEM]
    address = frozenset(r for m in memory for r in (m.base, m.index) if r)
    to_pc = arm.ARM_REG_PC in writes
    is_float = name.startswith("v")
    kind, words, loaded = Kind.OTHER, 0, _NOTHING
    transfer = _TRANSFERS.get(name, Transfer.REGISTER if to_pc else None)
    if name in _LOADS:
        kind, words = Kind.LOAD, _words(registers[:1])
        loaded = frozenset(registers[:1])
        transfer = Transfer.LOAD if to_pc else None
    elif name in _STORES:
        kind, words = Kind.STORE, 1 if not is_float else _words(registers[:1])
    elif name in ("ldrd", "ldrexd"):
        kind, words = Kind.LOAD_DOUBLE, 2
    elif name in ("strd", "strexd"):
        kind, words = Kind.STORE_DOUBLE, 2
    elif name in _LOAD_MULTIPLES | _STORE_MULTIPLES:
        kind = Kind.LOAD_MULTIPLE if name in _LOAD_MULTIPLES else Kind.STORE_MULTIPLE
        implicit_base = name in ("pop", "push", "vpop", "vpush")
        words = _words(registers if implicit_base else registers[1:])
        transfer = Transfer.POP if to_pc or arm.ARM_REG_PC in registers[1:] else None
    return Instruction(
        name, found.size, kind, words, is_float, transfer, reads, writes, loaded, address
    )


def _words(registers: list[int]) -> int:
    return sum(2 if arm.ARM_REG_D0 <= r <= arm.ARM_REG_D31 else 1 for r in registers)
