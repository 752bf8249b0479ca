# SPDX-License-Identifier: Apache-2.0
"""What a cycle model is.

    cycles = sum over edges (A, B, n)   n * straight(A, B)           B ran n times right after A
           + sum over branches          departures(stayed, went)     where each one led, how often

A and B are runs: what was executed from one taken branch to the next. So a model sees pairing and
stalls inside a run exactly, and over a taken branch with the end of the one run before it; what lay
further back is not counted and taken for drained. A branch is known by how often it fell through
and how often it went to each target, not by the order of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tinytailor.targets.decoded import Instruction


class CycleModel(Protocol):
    """Cycles of one core without wait states; board constants are elsewhere."""

    @property
    def name(self) -> str:
        """The name in a core's entry in ``targets.core``."""

    @property
    def window(self) -> int:
        """How many instructions of the run before can still be felt in the next one."""

    def straight(
        self, before: Sequence[Instruction], code: Sequence[Instruction], *, jumped: bool
    ) -> int:
        """Cycles that ``code`` adds right after ``before``, over a taken branch if ``jumped``.

        ``before`` is empty at the beginning of a call.
        """

    def departures(self, branch: Instruction, stayed: int, went: Sequence[int]) -> int:
        """Cycles on top for one branch that fell through and went to its targets so often."""
