# SPDX-License-Identifier: Apache-2.0
"""What the cycle models see of a Thumb instruction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

NOTHING: frozenset[int] = frozenset()


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
    """How an instruction can go elsewhere: b/cbz, bl, bx and writes of pc, pop, ldr, tbb, le."""

    IMMEDIATE = auto()
    CALL = auto()
    REGISTER = auto()
    POP = auto()
    LOAD = auto()
    TABLE = auto()
    LOOP_END = auto()


class Pipe(Enum):
    """Where a vector instruction works for its two beats."""

    LOAD_STORE = auto()
    INTEGER = auto()
    MULTIPLY = auto()
    CONTROL = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One instruction. Registers are capstone's numbers; ``words`` are those it moves.

    ``shifted`` registers pass a shifter on their way in, ``accumulated`` ones are added to a
    product. ``rotated`` says that it has a constant of eight bits that are shifted. ``offset`` is
    the constant distance from the base of a single access, None where there is none. ``pipe`` is
    where a vector instruction works.
    """

    name: str
    size: int
    kind: Kind = Kind.OTHER
    words: int = 0
    is_float: bool = False
    transfer: Transfer | None = None
    reads: frozenset[int] = NOTHING
    writes: frozenset[int] = NOTHING
    loaded: frozenset[int] = NOTHING
    address: frozenset[int] = NOTHING
    shifted: frozenset[int] = NOTHING
    accumulated: frozenset[int] = NOTHING
    rotated: bool = False
    offset: int | None = None
    pipe: Pipe | None = None
