# SPDX-License-Identifier: Apache-2.0
"""Cortex-M0+: the instruction table of its Technical Reference Manual (Arm DDI 0484).

With the fast multiplier of one cycle, a pipeline of two stages and zero wait states.
"""

from __future__ import annotations

from tinytailor.targets.cycles.table import TableModel
from tinytailor.targets.decoded import Transfer

MODEL = TableModel(
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
