# SPDX-License-Identifier: Apache-2.0
"""Cortex-M33: an outline, as Arm publishes no table of its timings.

The table of the Cortex-M4 with loads of one cycle, and one more when the next instruction uses the
value; divisions at 6. Measurements on an RP2350 (github.com/jnk0le/random, "pipeline cycle test")
agree with the load-use cycle, the doubles' 2 cycles and x cycles for x registers at once, and show
what is left out here: pairs of 16-bit instructions that issue together when one of them is a nop,
an IT or a branch, and the second cycle until products and sums with shifted operands can be used.
The fitted constants of the boards with this core stand on this outline, so its error is in them.
"""

from __future__ import annotations

from tinytailor.targets.cycles.table import FLOAT, TAKEN_THREE_STAGES, TableModel

MODEL = TableModel(
    name="m33",
    load=1,
    load_after_access=1,
    use_delay=1,
    store=1,
    load_double=2,
    store_double=2,
    multiple=1,
    taken=TAKEN_THREE_STAGES,
    named={"sdiv": 6, "udiv": 6, **FLOAT},
)
