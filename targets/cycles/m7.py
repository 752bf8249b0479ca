# SPDX-License-Identifier: Apache-2.0
"""Cortex-M7: two instructions a cycle, in order. Arm publishes no timings of it.

    a cycle takes at most   2 instructions, 2 loads, 1 store, 1 multiplication, 1 branch or IT,
                            1 shifted operand, 1 bit field or SIMD instruction, 1 float operation
    not together            multiplication and store; two loads from the same base and bank (even or
                            odd words); bit fields and SIMD as the second one; anything with a
                            division, a table branch, or a transfer of several registers, which
                            moves two registers a cycle

    cycles from issue until used as   stored  added to   operand  multi-  address or
                                      value   a product           plied   shifted
    add, sub, mov, plain shift, early      0          0        0       0           1
    other arithmetic, and those late       0          0        1       1           2
    word load                              0          0        1       2           2
    byte or halfword load                  0          1        2       2           3
    multiplication                         1          1        2       2           3
    saturating arithmetic                  1          1        2       2           3

Early means: issued first in its cycle, with operands there for the first of the two stages that
calculate. Sources: the scheduling model that Arm contributed to LLVM (ARMScheduleM7.td), and the
measurements on STM32H7 in "pipeline cycle test" of github.com/jnk0le/random, which stand where the
two differ; the method and others are at quinapalus.com/cm7cycles.html.

A branch is taken to be predicted where it goes most often, 8 cycles each time it goes elsewhere
(6 where the flags are set three cycles earlier, which compiled loops do not do), and nothing
otherwise: so a loop pays once when it is left, and a function that returns to two callers in
turns half of the times. A taken branch ends its cycle. Not modelled: banks of different bases,
unaligned loads, the store buffer, fetching of unaligned code, and all that caches and buses do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tinytailor.targets.cycles.pipeline import Latency, PipelineModel, Step, Use
from tinytailor.targets.decoded import Instruction, Kind, Transfer

MISPREDICTED = 8
DIVIDING = 7

_EARLY: Latency = (0, 0, 0, 0, 1)
_LATE: Latency = (0, 0, 1, 1, 2)
_WORD: Latency = (0, 0, 1, 2, 2)
_NARROW: Latency = (0, 1, 2, 2, 3)
_PRODUCT: Latency = (1, 1, 2, 2, 3)
_FLOAT: Latency = (1, 3, 3, 3, 3)
_FLOAT_PRODUCT: Latency = (3, 3, 5, 5, 5)
_FLOAT_LOAD: Latency = (1, 3, 1, 1, 1)

_MULTIPLIES = re.compile(r"(mul|mla|mls|sm[lmu]|[su]mull|[su]mlal|umaal|smlal|usad)")
_SATURATES = re.compile(r"([su]sat|u?q(add|sub|asx|sax|dadd|dsub))")
_FIELDS = re.compile(r"([su]bfx|bf[ic]|rev|rbit|pkh|[su]xta)")
_READS_EARLY = re.compile(r"([su]bfx|rev|rbit)")
_SIMD = re.compile(r"([su]xt|[su]h?(add|sub|asx|sax)(8|16)?$|sel$|clz$)")
_SIMPLE = frozenset(
    ("add", "addw", "sub", "subw", "mov", "movw", "lsl", "lsr", "asr", "ror", "adr")
)
_SLOW = frozenset(("mrs", "msr", "dmb", "dsb", "isb", "svc", "vmrs", "vmsr"))
_DIVISIONS = {"sdiv": DIVIDING, "udiv": DIVIDING, "vdiv": 16, "vsqrt": 14}
_SEVERAL = (
    Kind.LOAD_DOUBLE,
    Kind.STORE_DOUBLE,
    Kind.LOAD_MULTIPLE,
    Kind.STORE_MULTIPLE,
)
_PREDICTED = (Transfer.IMMEDIATE, Transfer.CALL, Transfer.REGISTER)


@lru_cache(maxsize=1 << 16)
def step(one: Instruction) -> Step:
    """How an instruction goes through the pipeline."""
    if one.kind is not Kind.OTHER:
        return _access(one)
    if one.transfer in _PREDICTED or one.name == "it":
        return Step(units=(("branch", 1),), results=_results(one, _LATE))
    if one.is_float:
        return _float(one)
    cycles = _DIVISIONS.get(one.name, 3 if one.name in _SLOW else 1)
    cycles = 2 if one.transfer is Transfer.TABLE else cycles
    if _is_product(one):
        reads = _reads(one, Use.MULTIPLY)
        return Step(reads, _results(one, _PRODUCT), (("multiply", 1), ("store", 1)))
    reads = _reads(one, Use.EARLY if _READS_EARLY.match(one.name) else Use.NORMAL)
    units = [("shift", 1)] if one.shifted or one.rotated or _FIELDS.match(one.name) else []
    if _second_never(one):
        units.append(("simd", 1))
    latency = _PRODUCT if _SATURATES.match(one.name) else _LATE
    fast = _EARLY if one.name in _SIMPLE and not one.shifted and not one.rotated else None
    return Step(reads, _results(one, latency), tuple(units), cycles, fast)


def _access(one: Instruction) -> Step:
    """Loads and stores: addresses are needed early, values to store late."""
    stores = one.kind in (Kind.STORE, Kind.STORE_DOUBLE, Kind.STORE_MULTIPLE)
    reads = tuple(
        (register, Use.STORE if stores and register not in _base(one) else Use.EARLY)
        for register in sorted(one.reads)
    )
    loaded = _FLOAT_LOAD if one.is_float else _WORD
    if one.kind is Kind.LOAD and one.name not in ("ldr", "ldrex", "lda", "ldaex", "vldr"):
        loaded = _NARROW
    results = tuple(
        (register, _EARLY if stores or register in _base(one) - one.loaded else loaded)
        for register in sorted(one.writes)
    )
    units = (("store" if stores else "load", 1),)
    cycles = (one.words + 1) // 2 if one.kind in _SEVERAL else 1
    return Step(reads, results, units, max(1, cycles))


def _base(one: Instruction) -> frozenset[int]:
    """Registers of the address; in transfers of several registers, what is read and written."""
    return one.address or one.reads & one.writes


def _float(one: Instruction) -> Step:
    """Single precision: one operation a cycle, however they follow each other."""
    product = bool(one.accumulated)
    cycles = _DIVISIONS.get(one.name, 3 if one.name in _SLOW else 1)
    results = _results(one, _FLOAT_PRODUCT if product else _FLOAT)
    return Step(_reads(one, Use.NORMAL), results, (("float", 1),), cycles)


def _reads(one: Instruction, use: Use) -> tuple[tuple[int, Use], ...]:
    def use_of(register: int) -> Use:
        if register in one.shifted:
            return Use.EARLY
        return Use.ACCUMULATE if register in one.accumulated else use

    return tuple((register, use_of(register)) for register in sorted(one.reads))


def _results(one: Instruction, latency: Latency) -> tuple[tuple[int, Latency], ...]:
    return tuple((register, latency) for register in sorted(one.writes))


def _is_product(one: Instruction) -> bool:
    return one.kind is Kind.OTHER and bool(_MULTIPLIES.match(one.name))


def _second_never(one: Instruction) -> bool:
    """Bit fields, SIMD and saturating arithmetic."""
    groups = (_FIELDS, _SATURATES, _SIMD)
    return (
        not _is_product(one)
        and any(group.match(one.name) for group in groups)
        and one.name not in _SIMPLE
    )


def _alone(one: Instruction) -> bool:
    double = one.is_float and one.words > 1
    return (
        double
        or one.kind in _SEVERAL
        or one.name in _DIVISIONS
        or one.name in _SLOW
        or one.transfer is Transfer.TABLE
    )


def pairs(first: Instruction, second: Instruction) -> bool:
    """Whether two neighbours may issue in one cycle, as far as operands and units allow."""
    if _alone(first) or _alone(second) or _second_never(second):
        return False
    one_bank = (
        first.kind is second.kind is Kind.LOAD
        and first.offset is not None
        and second.offset is not None
        and first.address == second.address
        and (first.offset ^ second.offset) & 4 == 0
    )
    return not one_bank


def leaving(branch: Instruction, stayed: int, went: Sequence[int]) -> int:
    """Each branch is predicted to go where it goes most often."""
    return MISPREDICTED * (stayed + sum(went) - max((stayed, *went)))


MODEL = PipelineModel(
    name="m7",
    units={
        "load": 2, "store": 1, "multiply": 1, "branch": 1, "shift": 1, "simd": 1, "float": 1,
    },
    step=step,
    pairs=pairs,
    leaving=leaving,
)  # fmt: skip
