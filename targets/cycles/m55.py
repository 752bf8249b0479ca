# SPDX-License-Identifier: Apache-2.0
"""Cortex-M55: one instruction a cycle, in order, and vectors in two beats.

    1. A vector instruction takes its pipe for 2 cycles: load/store, integer, or multiply and float.
       The next instruction issues one cycle later if it needs another pipe, two if the same one.

            vldrb  LL          load/store, integer and multiply pipes of
            vmladav  MM        vldrb q0; vmladav r0, q0, q1; vldrb q1: a loop of two such pairs
            vldrb   LL         takes four cycles, as the load/store pipe is never idle

    2. A result of the load/store or integer pipe can be used one cycle after its instruction
       issued, a product two cycles (a store may take it after one), a narrowed vector three; a
       vector of addresses is needed four cycles before its gather.
    3. Scalars: arithmetic has its result after one cycle, loads, multiplications, shifted operands
       and saturation after two. Two 16-bit instructions issue together if one of them is a nop, an
       IT, a branch, a move, an extension or a sum with a constant.
    4. LE, at the end of a low-overhead loop, is not issued: a loop pays 3 cycles once, for its
       first LE or the way out.

Source of 1 to 3: the scheduling model that Arm contributed to LLVM (ARMScheduleM55.td). Assumed,
for want of a published number: a taken branch costs 2 cycles more than one that falls through, an
indirect one 3 (one more each than three stages take, as the pipeline has one more); a division
takes 6; n registers move in n cycles, as on the Cortex-M33. Not modelled: caches, arbitration of
the tightly coupled memories, stalls on predicates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tinytailor.targets.cycles.pipeline import Latency, PipelineModel, Step, Use
from tinytailor.targets.decoded import Instruction, Kind, Pipe, Transfer

BEATS = 2
LOOP = 3
TAKEN = {
    Transfer.IMMEDIATE: 2,
    Transfer.CALL: 2,
    Transfer.REGISTER: 3,
    Transfer.POP: 3,
    Transfer.LOAD: 3,
    Transfer.TABLE: 4,
}
_UNITS = {
    Pipe.LOAD_STORE: "load_store",
    Pipe.INTEGER: "integer",
    Pipe.MULTIPLY: "multiply",
    Pipe.CONTROL: "control",
}
# Cycles until a vector result can be used, where it is not 1 (2 for the multiply pipe).
_VECTOR = {
    "vmovn": 3, "vshrn": 3, "vabav": 3, "vmaxv": 2, "vadc": 2, "vmullp": 2, "vqshl": 2, "vshlr": 2,
    "gather": 2, "vcmp": 1,
}  # fmt: skip
_GATHER = 4
_TWO = re.compile(
    r"(mul|mla|mls|sm|[su]mull|[su]mlal|umaal|usad|u?q|[su]sat|[su]bfx|[su]xta|pkh|lshift|clrm"
    r"|[su]h?(add|sub|asx|sax)(8|16)?$)"
)
_SLOW = {"sdiv": 6, "udiv": 6, "vdiv": 14, "vsqrt": 14, "mrs": 2, "msr": 2, "dsb": 3, "isb": 3}
_FREE = frozenset(("nop", "it", "b", "cbz", "cbnz", "bx"))
_SHORT = frozenset(("mov", "sxtb", "sxth", "uxtb", "uxth"))


def _after(cycles: int) -> Latency:
    store = 1 if cycles == 2 else cycles  # products are forwarded, narrowed vectors are not
    return store, cycles, cycles, cycles, cycles + _GATHER


@lru_cache(maxsize=1 << 16)
def step(one: Instruction) -> Step:
    """How an instruction goes through the pipeline."""
    if one.transfer is Transfer.LOOP_END:
        return Step(cycles=0)
    if one.pipe is not None:
        return _vector(one, one.pipe)
    if one.kind is not Kind.OTHER:
        words = max(1, one.words)
        reads = _reads(one, Use.STORE)
        results = tuple(
            (register, _after(1 if register in one.address else 2))
            for register in sorted(one.writes)
        )
        return Step(reads, results, ((_UNITS[Pipe.LOAD_STORE], words),), words)
    if one.is_float:
        return _float(one)
    two = _TWO.match(one.name) or one.shifted or one.rotated
    results = tuple((register, _after(2 if two else 1)) for register in sorted(one.writes))
    units = (("branch", 1),) if one.transfer is not None else ()
    return Step(_reads(one, Use.NORMAL), results, units, _SLOW.get(one.name, 1))


def _reads(one: Instruction, use: Use) -> tuple[tuple[int, Use], ...]:
    return tuple(
        (register, Use.NORMAL if register in one.address else use) for register in sorted(one.reads)
    )


def _vector(one: Instruction, pipe: Pipe) -> Step:
    usual = 2 if pipe is Pipe.MULTIPLY else 1
    latency = _after(_VECTOR.get(one.name, usual))
    reads = _reads(one, Use.STORE if one.kind is Kind.STORE else Use.NORMAL)
    if one.name in ("gather", "scatter"):
        reads = tuple(
            (register, Use.EARLY if register in one.address else use) for register, use in reads
        )
    results = tuple(
        (register, latency if register not in one.address else _after(1))
        for register in sorted(one.writes)
    )
    return Step(reads, results, ((_UNITS[pipe], 1 if pipe is Pipe.CONTROL else BEATS),))


def _float(one: Instruction) -> Step:
    """Scalar floats share the vectors' multiply pipe, one cycle each."""
    latency = _after(4 if one.name in ("vmla", "vmls", "vnmla", "vnmls") else 2)
    results = tuple((register, latency) for register in sorted(one.writes))
    units = ((_UNITS[Pipe.MULTIPLY], 1),)
    return Step(_reads(one, Use.NORMAL), results, units, _SLOW.get(one.name, 1))


def _joins(one: Instruction) -> bool:
    """Whether a 16-bit instruction can issue beside any other one."""
    with_constant = one.name in ("add", "sub") and len(one.reads) <= 1
    return one.name in _FREE or one.name in _SHORT or with_constant


def pairs(first: Instruction, second: Instruction) -> bool:
    """Whether two neighbours may issue in one cycle, as far as operands and units allow."""
    return first.size == second.size == 2 and (_joins(first) or _joins(second))


def leaving(branch: Instruction, stayed: int, went: Sequence[int]) -> int:
    """A taken branch refills the pipeline; a loop ends once however long it is."""
    if branch.transfer is Transfer.LOOP_END:
        return LOOP * stayed
    return TAKEN[branch.transfer] * sum(went) if branch.transfer is not None else 0


MODEL = PipelineModel(
    name="m55",
    units={"load_store": 1, "integer": 1, "multiply": 1, "control": 1, "branch": 1},
    step=step,
    pairs=pairs,
    leaving=leaving,
)
