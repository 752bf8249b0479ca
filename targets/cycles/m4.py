# SPDX-License-Identifier: Apache-2.0
"""Cortex-M4: the instruction table of its Technical Reference Manual (Arm DDI 0439, section 3.3).

Data-dependent divisions stand at a middle value. Not modelled: the cycle that three or more wide
instructions at odd halfwords in a row can cost.
"""

from __future__ import annotations

from tinytailor.targets.cycles.table import FLOAT, TAKEN_THREE_STAGES, TableModel

MODEL = TableModel(
    name="m4",
    load=2,
    load_after_access=1,
    use_delay=0,
    store=1,
    load_double=3,
    store_double=3,
    multiple=1,
    taken=TAKEN_THREE_STAGES,
    named={"sdiv": 7, "udiv": 7, **FLOAT},
)
