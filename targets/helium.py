# SPDX-License-Identifier: Apache-2.0
"""Instructions of ARMv8.1-M that capstone 5 does not know: vectors (MVE), loops, selections.

Encodings as in the Arm v8-M Architecture Reference Manual (DDI 0553), two halfwords as one word:

    1110110x 1111110x  ........ ....111x     vector loads and stores, interleaved and gathered ones
    111x1110           ........ ....111x     vector arithmetic with reductions, scalars, predicates
    111x1111           ........ ........     vector arithmetic with two vectors or a constant
    11110000 0.......  11x0.... .......1     loops; VCTP
    11101010 0101....  .0/1                  long shifts; conditional selections

Names are of classes, not of each instruction: a cycle model needs the pipe, what is read and what
is written. ARMv6-M to v8.0-M leave all these encodings undefined, so no core has to be asked for.
"""

from __future__ import annotations

from capstone import arm

from tinytailor.targets.decoded import Instruction, Kind, Pipe, Transfer

_PC = 15
_NONE: frozenset[int] = frozenset()


def decode_helium(code: bytes) -> Instruction | None:
    """The instruction of four bytes, or None where the encoding is none of these."""
    if len(code) != 4:
        return None
    first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:], "little")
    top = first >> 8
    if top in (0xEC, 0xED, 0xFC, 0xFD):
        return _memory(first, second)
    if top in (0xEE, 0xFE):
        return _arithmetic(first, second)
    if top in (0xEF, 0xFF):
        return _two_vectors(first, second)
    if first >> 7 == 0x1E0 and second & 0xD001 == 0xC001:
        return _loop(first, second)
    if first >> 4 == 0xEA5:
        return _select(first, second)
    if first == 0xE89F:
        return _vectorless("clrm", _NONE, _core(*(r for r in range(15) if second >> r & 1)))
    return None


def _q(number: int) -> int:
    return int(arm.ARM_REG_Q0) + (number & 7)


_NUMBERS = (
    *(arm.ARM_REG_R0 + i for i in range(13)),
    arm.ARM_REG_SP,
    arm.ARM_REG_LR,
)


def _core(*numbers: int) -> frozenset[int]:
    """Core registers by number; 15 stands for none or zero in these instructions."""
    return frozenset(int(_NUMBERS[n]) for n in numbers if n != _PC)


def _vector(
    name: str,
    pipe: Pipe,
    reads: frozenset[int],
    writes: frozenset[int],
    accumulated: frozenset[int] = _NONE,
) -> Instruction:
    return Instruction(
        name=name,
        size=4,
        is_float=True,
        reads=reads | accumulated,
        writes=writes,
        accumulated=accumulated,
        pipe=pipe,
    )


def _vectorless(
    name: str,
    reads: frozenset[int],
    writes: frozenset[int],
    transfer: Transfer | None = None,
) -> Instruction:
    return Instruction(name=name, size=4, reads=reads, writes=writes, transfer=transfer)


def _memory(first: int, second: int) -> Instruction | None:
    if first >> 8 in (0xFC, 0xFD) and second & 0x0E00 == 0x0800:  # complex, on floats
        return _vector("vcmla", Pipe.MULTIPLY, _qn_qm(first, second), _qd(second))
    if second & 0x0E00 != 0x0E00:
        return None
    if first & 0xFFA0 == 0xEC00:  # two lanes and two core registers
        pair = _core(first & 15, second & 15)
        if first & 0x10:
            return _vector("vmov", Pipe.INTEGER, pair, _qd(second))
        return _vector("vmov", Pipe.MULTIPLY, _qd(second), pair)
    load, writeback = bool(first & 0x10), bool(first & 0x20)
    data, address, name = _qd(second), _core(first & 15), "vldr" if load else "vstr"
    if first >> 8 == 0xFD:  # addresses in a vector
        address, name = frozenset((_q(first >> 1),)), "gather" if load else "scatter"
    elif first >> 8 == 0xFC and second & 0x1000:  # interleaved
        count = 4 if second & 1 else 2
        data = frozenset(_q((second >> 13) + i) for i in range(count))
    elif first >> 8 == 0xFC or not first & 0x0120:  # a base and offsets in a vector
        address, name = address | {_q(second >> 1)}, "gather" if load else "scatter"
    elif not second & 0x1000:  # widening or narrowing, base in r0 to r7
        address = _core(first & 7)
    base = address if writeback else _NONE
    return Instruction(
        name=name,
        size=4,
        kind=Kind.LOAD if load else Kind.STORE,
        words=4,
        is_float=True,
        reads=address if load else address | data,
        writes=base | data if load else base,
        loaded=data if load else _NONE,
        address=address,
        pipe=Pipe.LOAD_STORE,
    )


def _qd(second: int) -> frozenset[int]:
    return frozenset((_q(second >> 13),))


def _qn_qm(first: int, second: int) -> frozenset[int]:
    return frozenset((_q(first >> 1), _q(second >> 1)))


def _arithmetic(first: int, second: int) -> Instruction | None:
    if second & 0x0F1F == 0x0B10:  # one lane, or all (vdup), and a core register
        lane, register = frozenset((_q(first >> 1),)), _core(second >> 12)
        if first & 0x10:
            return _vector("vmov", Pipe.MULTIPLY, lane, register)
        whole = bool(first & 0x80)
        return _vector("vdup", Pipe.INTEGER, register if whole else lane | register, lane)
    if first & 0xFFEF == 0xEEED and second & 0x0FFF == 0x0A10:  # the predicate
        register = _core(second >> 12)
        if first & 0x10:
            return _vector("vmrs", Pipe.CONTROL, _NONE, register)
        return _vector("vmsr", Pipe.CONTROL, register, _NONE)
    if second & 0x0E00 != 0x0E00:
        return None
    return _reduction(first, second) if first & 0x80 else _with_scalar(first, second)


def _reduction(first: int, second: int) -> Instruction:
    """The first halfword is 111x1110 1: sums of products, extremes, shifts by constants."""
    qm, qn = frozenset((_q(second >> 1),)), frozenset((_q(first >> 1),))
    if second & 0x40 and first & 0x20:
        return _vector("vmovl", Pipe.INTEGER, qm, _qd(second))
    if second & 0x40:
        return _vector("vshrn", Pipe.INTEGER, qm, _qd(second), _qd(second))
    if first & 0x70 == 0x60:
        register = _core(second >> 12)
        return _vector("vmaxv", Pipe.INTEGER, qm, register, register)
    low = _core((second >> 12) & 0xE)
    if first & 0x41 == 0 and second & 0x0101 == 0x0101:
        return _vector("vabav", Pipe.INTEGER, qn | qm, low, low)
    long = first & 0x70 != 0x70
    result = low | _core((first >> 3 & 0xE) + 1) if long else low
    added = result if second & 0x20 else _NONE
    if first & 1 and second & 0x0100:
        return _vector("vaddv", Pipe.MULTIPLY, qm, result, added)
    return _vector("vmladav", Pipe.MULTIPLY, qn | qm, result, added)


def _with_scalar(first: int, second: int) -> Instruction:
    """The first halfword is 111x1110 0: products, narrowing, and with scalars or predicates."""
    if first & 0xFFBF == 0xFE31 and second & 0xE0FF == 0x004D:
        return _vector("vpst", Pipe.CONTROL, _NONE, _NONE)
    qd, qn = _qd(second), frozenset((_q(first >> 1),))
    scalar = bool(second & 0x40)
    other = _core(second & 15) if scalar else frozenset((_q(second >> 1),))
    floats = first & 0x30 == 0x30
    if second & 0x0100:
        if first & 0x31 == 0x30:  # vadc, vsbc, vqdmull, and sums of floats and a scalar
            multiplies = scalar or bool(second & 1)
            name, pipe = ("vqdmull", Pipe.MULTIPLY) if multiplies else ("vadc", Pipe.INTEGER)
            return _vector(name, pipe, qn | other, qd)
        if first & 0x1041 == 0x1001 and floats and second & 0x51 == 0x01:
            return _vector("vpsel", Pipe.INTEGER, qn | other, qd)
        if first & 1 and second & 0xE000 == 0 and (first & 0x1000 or floats):
            return _vector("vcmp", Pipe.MULTIPLY, qn | other, _NONE)
        if first & 1 and second & 0x60 == 0x60 and not first & 0x1000:
            return _vector("vidup", Pipe.INTEGER, _core(first & 0xE), qd | _core(first & 0xE))
        return _vector("vadd", Pipe.INTEGER, qn | other, qd)
    if first & 0x3D == 0x3D and not scalar and second & 1:
        return _vector("vcvt", Pipe.MULTIPLY, other, qd, qd)
    if floats and first & 1 and not scalar and second & 1:
        return _vector("vmovn", Pipe.INTEGER, other, qd, qd)
    if floats and first & 1 and not scalar:
        return _vector("vmullp", Pipe.INTEGER, qn | other, qd)
    if floats and first & 0x9 == 0x9 and second & 0x1000:
        return _vector("vshlr", Pipe.INTEGER, qd | other, qd)
    if scalar and first & 0x1001 == 0x1001 and second & 0x1000 and not second & 0x80:
        return _vector("vbrsr", Pipe.INTEGER, qn | other, qd)
    added = qd if scalar and (not second & 0x20 or not first & 1) else _NONE
    return _vector("vmul", Pipe.MULTIPLY, qn | other, qd, added)


def _two_vectors(first: int, second: int) -> Instruction | None:
    """111x1111: the operations on vectors alone, laid out as those of Neon with 128 bits."""
    if first & 0x40 or not second & 0x40:
        return None
    qd, qm, operation = _qd(second), frozenset((_q(second >> 1),)), second >> 8 & 0xF
    constant = bool(second & 0x10)
    if first & 0x80 and constant:
        if first & 0x38 == 0:
            return _vector("vmov", Pipe.INTEGER, _NONE, qd)
        if operation >= 0xC:
            return _vector("vcvt", Pipe.MULTIPLY, qm, qd)
        slow = operation in (0x2, 0x3, 0x6, 0x7)  # rounding and saturating shifts
        return _vector("vqshl" if slow else "vshl", Pipe.INTEGER, qm, qd)
    if first & 0xFFB0 == 0xFFB0:
        floats = first & 2 or (first & 1 and operation & 4)
        if floats:
            return _vector("vcvt", Pipe.MULTIPLY, qm, qd)
        return _vector("vrev", Pipe.INTEGER, qm, qd)
    both = _qn_qm(first, second)
    if operation == 0xD or operation == 0xF:
        return _vector("vadd", Pipe.MULTIPLY, both, qd)
    if operation == 0xC:
        return _vector("vfma", Pipe.MULTIPLY, both, qd, qd)
    if (operation == 0x9 and constant) or operation == 0xB:
        return _vector("vmul", Pipe.MULTIPLY, both, qd)
    slow = operation in (0x4, 0x5) and (constant or operation == 0x5)
    return _vector("vqshl" if slow else "vadd", Pipe.INTEGER, both, qd)


def _loop(first: int, second: int) -> Instruction | None:
    register = first & 15
    counter = _core(14)
    if second & 0xF801 == 0xE801 and first & 0x40 == 0:
        return _vector("vctp", Pipe.CONTROL, _core(register), _NONE)
    if second & 0x2000:
        return _vectorless("dls", _core(register), counter)
    if register == _PC:
        return _vectorless("le", counter, counter, Transfer.LOOP_END)
    return _vectorless("wls", _core(register), counter, Transfer.IMMEDIATE)


def _select(first: int, second: int) -> Instruction | None:
    if second & 0x8000:
        result = _core(second >> 8 & 15)
        return _vectorless("csel", _core(first & 15, second & 15), result)
    if second & 0xD != 0xD:
        return None
    high = second >> 8 & 15
    pair = _core(first & 15) if high == _PC else _core(first & 14, high & 14 | 1)
    by_register = _core(second >> 12 & 15) if second & 15 == 13 else _NONE
    return _vectorless("lshift", pair | by_register, pair)
