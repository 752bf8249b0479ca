# SPDX-License-Identifier: Apache-2.0
"""Thumb instructions as the cycle models see them, decoded by capstone, vectors by ``helium``."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

import capstone
from capstone import arm

from tinytailor.targets.decoded import NOTHING, Instruction, Kind, Pipe, Transfer
from tinytailor.targets.errors import ToolError
from tinytailor.targets.helium import decode_helium

__all__ = ["Instruction", "Kind", "Pipe", "Transfer", "decode", "instruction_sizes"]

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
# Multiplications that add, by what is added: the last register, or both of the result.
_ADD_LAST = re.compile(r"(ml[as]|sml[as]d|sml[as]dx|smla[bt][bt]|smlaw[bt]|smml[as]r?|usada8)$")
_ADD_BOTH = re.compile(r"([su]mlal|smlal[bt][bt]|sml[as]ldx?|umaal)$")
_ADD_FIRST = re.compile(r"(vml[as]|vnml[as]|vfn?m[as])$")
# Here the last register is taken apart or shifted, and capstone may forget to name it as read.
_EXTRACTING = re.compile(r"(pkh(bt|tb)|[su]sat(16)?|[su]xta(b|h|b16)|bfi)$")
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
    vector = decode_helium(code)
    if vector is not None:
        return vector
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
    kind, words, loaded = Kind.OTHER, 0, NOTHING
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
    accumulated = _accumulated(name, registers)
    shifted = frozenset(o.reg for o in found.operands if o.type == arm.ARM_OP_REG and o.shift.type)
    if _EXTRACTING.match(name):
        reads |= frozenset(registers[1:])
        shifted |= frozenset(registers[-1:])
    plain = len(memory) == 1 and not memory[0].index and not found.writeback
    return Instruction(
        name=name,
        size=found.size,
        kind=kind,
        words=words,
        is_float=is_float,
        transfer=transfer,
        reads=reads | accumulated,
        writes=writes,
        loaded=loaded,
        address=address,
        shifted=shifted,
        accumulated=accumulated,
        rotated=any(o.type == arm.ARM_OP_IMM and _is_rotated(o.imm) for o in found.operands),
        offset=memory[0].disp if plain and kind in (Kind.LOAD, Kind.STORE) else None,
    )


def _accumulated(name: str, registers: list[int]) -> frozenset[int]:
    if _ADD_LAST.match(name):
        return frozenset(registers[3:])
    if _ADD_BOTH.match(name):
        return frozenset(registers[:2])
    return frozenset(registers[:1]) if _ADD_FIRST.match(name) else NOTHING


def _is_rotated(constant: int) -> bool:
    """Whether a constant of an arithmetic instruction is neither small nor a repeated byte."""
    constant &= 0xFFFFFFFF
    low, high = constant & 0xFF, constant >> 8 & 0xFF
    repeated = (low * 0x00010001, high * 0x01000100, low * 0x01010101)
    return constant > 0xFFF and constant not in repeated


def _words(registers: list[int]) -> int:
    return sum(2 if arm.ARM_REG_D0 <= r <= arm.ARM_REG_D31 else 1 for r in registers)
