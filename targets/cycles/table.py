# SPDX-License-Identifier: Apache-2.0
"""Models that are a table of cycles by instruction, as manuals of single-issue cores print them.

    straight   = sum over instructions of   cost(instruction, the one before it)
    departures = times taken * taken(instruction)

An instruction that its IT condition skips counts like an executed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tinytailor.targets.decoded import Instruction, Kind, Transfer


@dataclass(frozen=True, slots=True)
class TableModel:
    """Costs by kind of instruction; ``named`` overrides them by mnemonic.

    ``load_after_access`` is the cost of a load right after a single load or store that its address
    does not depend on; ``use_delay`` is added to an instruction that uses the value loaded right
    before it; ``taken`` is what a taken branch costs on top of a branch that is not taken.
    """

    name: str
    load: int
    load_after_access: int
    use_delay: int
    store: int
    load_double: int
    store_double: int
    multiple: int
    taken: Mapping[Transfer, int]
    named: Mapping[str, int] = field(default_factory=dict)
    window: int = 1

    def straight(
        self, before: Sequence[Instruction], code: Sequence[Instruction], *, jumped: bool
    ) -> int:
        """See ``CycleModel``."""
        previous = None if jumped or not before else before[-1]
        cycles = 0
        for one in code:
            cycles += cost(self, one, previous)
            previous = one
        return cycles

    def departures(self, branch: Instruction, stayed: int, went: Sequence[int]) -> int:
        """See ``CycleModel``."""
        return taken(self, branch) * sum(went)


# The single-precision unit of Cortex-M4, which that of the M33 is taken to equal.
FLOAT = {
    "vmla": 3, "vmls": 3, "vnmla": 3, "vnmls": 3, "vnmul": 1,
    "vfma": 3, "vfms": 3, "vfnma": 3, "vfnms": 3, "vdiv": 14, "vsqrt": 14,
}  # fmt: skip
# Refilling a pipeline of three stages: P = 1 for immediate branches, 2 for others.
TAKEN_THREE_STAGES = {
    Transfer.IMMEDIATE: 1,
    Transfer.CALL: 1,
    Transfer.REGISTER: 2,
    Transfer.POP: 2,
    Transfer.LOAD: 2,
    Transfer.TABLE: 3,
}


def cost(model: TableModel, instruction: Instruction, previous: Instruction | None) -> int:
    """Cycles of an instruction; ``previous`` is None where it was branched to."""
    delay = 0
    if previous is not None and previous.kind is Kind.LOAD and previous.loaded & instruction.reads:
        delay = model.use_delay
    return delay + _cost(model, instruction, previous)


def _cost(model: TableModel, instruction: Instruction, previous: Instruction | None) -> int:
    named = model.named.get(instruction.name)
    if named is not None:
        return named
    match instruction.kind:
        case Kind.LOAD if instruction.words == 1:
            follows = (
                not instruction.is_float
                and previous is not None
                and previous.kind in (Kind.LOAD, Kind.STORE)
                and previous.words == 1
                and not previous.is_float
                and not previous.writes & instruction.address
            )
            return model.load_after_access if follows else model.load
        case Kind.STORE if instruction.words == 1:
            return model.store if not instruction.is_float else max(model.store, model.load)
        case Kind.LOAD | Kind.STORE:  # one double-precision register
            return 3
        case Kind.LOAD_DOUBLE:
            return model.load_double
        case Kind.STORE_DOUBLE:
            return model.store_double
        case Kind.LOAD_MULTIPLE | Kind.STORE_MULTIPLE:
            return model.multiple + instruction.words
        case Kind.OTHER:
            return 1


def taken(model: TableModel, instruction: Instruction) -> int:
    """Cycles on top when the instruction went elsewhere than to the one behind it."""
    return 0 if instruction.transfer is None else model.taken[instruction.transfer]
