# SPDX-License-Identifier: Apache-2.0
"""Cortex-M3: the instruction table of its Technical Reference Manual (Arm DDI 0337).

Data-dependent divisions and long multiplications stand at a middle value.
"""

from __future__ import annotations

from tinytailor.targets.cycles.table import TAKEN_THREE_STAGES, TableModel

MODEL = TableModel(
    name="m3",
    load=2,
    load_after_access=1,
    use_delay=0,
    store=1,
    load_double=3,
    store_double=3,
    multiple=1,
    taken=TAKEN_THREE_STAGES,
    named={
        "sdiv": 7, "udiv": 7, "mla": 2, "mls": 2,
        "smull": 4, "umull": 4, "smlal": 5, "umlal": 5,
    },
)  # fmt: skip
