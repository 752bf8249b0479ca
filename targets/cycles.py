# SPDX-License-Identifier: Apache-2.0
"""Cycles of a core without wait states, instruction by instruction.

    cycles = sum over executed instructions of   cost(instruction, the one before it)
           + sum over taken branches of          taken(instruction)

Sources: m4 and m3, the instruction tables of the Cortex-M4 and Cortex-M3 Technical Reference
Manuals (pipeline refill P = 1 for immediate branches, 2 for others; data-dependent divisions and
long multiplications at a middle value); m0plus, the Cortex-M0+ manual with the fast multiplier and
zero wait states; m33, for which Arm publishes no table, the m4 table with loads of one cycle and
one more when the next instruction uses the value. An instruction that its IT condition skips
counts like an executed one. Flash wait states are not here but in a board's latency constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tinytailor.targets.errors import InputError
from tinytailor.targets.instructions import Instruction, Kind, Transfer


@dataclass(frozen=True, slots=True)
class CycleModel:
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


_FLOAT = {
    "vmla": 3, "vmls": 3, "vnmla": 3, "vnmls": 3, "vnmul": 1,
    "vfma": 3, "vfms": 3, "vfnma": 3, "vfnms": 3, "vdiv": 14, "vsqrt": 14,
}  # fmt: skip
_TAKEN_M3 = {
    Transfer.IMMEDIATE: 1,
    Transfer.CALL: 1,
    Transfer.REGISTER: 2,
    Transfer.POP: 2,
    Transfer.LOAD: 2,
    Transfer.TABLE: 3,
}
_M4 = CycleModel(
    name="m4",
    load=2,
    load_after_access=1,
    use_delay=0,
    store=1,
    load_double=3,
    store_double=3,
    multiple=1,
    taken=_TAKEN_M3,
    named={"sdiv": 7, "udiv": 7, **_FLOAT},
)
_M33 = CycleModel(
    name="m33",
    load=1,
    load_after_access=1,
    use_delay=1,
    store=1,
    load_double=2,
    store_double=3,
    multiple=1,
    taken=_TAKEN_M3,
    named={"sdiv": 6, "udiv": 6, **_FLOAT},
)
_M3 = CycleModel(
    name="m3",
    load=2,
    load_after_access=1,
    use_delay=0,
    store=1,
    load_double=3,
    store_double=3,
    multiple=1,
    taken=_TAKEN_M3,
    named={
        "sdiv": 7, "udiv": 7, "mla": 2, "mls": 2,
        "smull": 4, "umull": 4, "smlal": 5, "umlal": 5,
    },
)  # fmt: skip
_M0PLUS = CycleModel(
    name="m0plus",
    load=2,
    load_after_access=2,
    use_delay=0,
    store=2,
    load_double=3,
    store_double=3,
    multiple=1,
    taken={
        Transfer.IMMEDIATE: 1,
        Transfer.CALL: 2,
        Transfer.REGISTER: 1,
        Transfer.POP: 2,
        Transfer.LOAD: 2,
        Transfer.TABLE: 2,
    },
    named={"mrs": 3, "msr": 3, "dmb": 3, "dsb": 3, "isb": 3},
)
MODELS: Mapping[str, CycleModel] = MappingProxyType(
    {model.name: model for model in (_M0PLUS, _M3, _M4, _M33)}
)


def cycle_model(name: str | None) -> CycleModel:
    """The model of a core by the name in its table; InputError where there is none."""
    if name is None:
        raise InputError(
            "this core has no cycle model, so its cycles cannot be counted; "
            f"cores with a model use {', '.join(MODELS)}."
        )
    return MODELS[name]


def cost(model: CycleModel, instruction: Instruction, previous: Instruction | None) -> int:
    """Cycles of an instruction; ``previous`` is None where it was branched to."""
    delay = 0
    if previous is not None and previous.kind is Kind.LOAD and previous.loaded & instruction.reads:
        delay = model.use_delay
    return delay + _cost(model, instruction, previous)


def _cost(model: CycleModel, instruction: Instruction, previous: Instruction | None) -> int:
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


def taken(model: CycleModel, instruction: Instruction) -> int:
    """Cycles on top when the instruction went elsewhere than to the one behind it."""
    return 0 if instruction.transfer is None else model.taken[instruction.transfer]
