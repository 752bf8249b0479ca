# SPDX-License-Identifier: Apache-2.0
"""Cores that issue in order, one or two instructions a cycle: when each one can issue.

An instruction issues when

    it is its turn                 after the one before it, or in the same cycle as its partner
    its operands are there         issue of the producer + its latency, by how they are used
    its units are free             each is taken for some cycles from the issue on

    cycles of a run = issue cycle behind its last instruction - the same of the run before it

Units, latencies and partners are the model's; what is here knows no core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from tinytailor.targets.decoded import Instruction


class Use(IntEnum):
    """How an operand is used, from the latest point of the pipeline to the earliest."""

    STORE = 0
    ACCUMULATE = 1
    NORMAL = 2
    MULTIPLY = 3
    EARLY = 4  # an address, or through a shifter


Latency = tuple[int, int, int, int, int]  # in cycles, by ``Use``


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction on its way. Equal objects stand for equal instructions.

    ``cycles`` is how long it keeps the issue stage (0: it passes without being issued), ``units``
    are (name, cycles) that it takes. ``fast`` are the latencies if its operands are there for the
    early stage and it issues first in its cycle, where that makes a difference.
    """

    reads: tuple[tuple[int, Use], ...] = ()
    results: tuple[tuple[int, Latency], ...] = ()
    units: tuple[tuple[str, int], ...] = ()
    cycles: int = 1
    fast: Latency | None = None


class Pipeline:
    """The state between two instructions."""

    def __init__(self, model: PipelineModel) -> None:
        self._model = model
        self._ready: dict[int, tuple[int, Latency]] = {}  # register: issue of its producer
        self._free = {name: [0] * count for name, count in model.units.items()}
        self._open: Instruction | None = None  # alone in the last cycle so far
        self.end = 0  # the cycle behind the last issue

    def issue(self, one: Instruction) -> None:
        """The next instruction."""
        step = self._model.step(one)
        if step.cycles == 0:
            return
        ready = 0
        for register, use in step.reads:
            made = self._ready.get(register)
            if made is not None:
                ready = max(ready, made[0] + made[1][use])
        for name, _ in step.units:
            ready = max(ready, min(self._free[name]))
        partner = self._open
        paired = partner is not None and ready < self.end and self._model.pairs(partner, one)
        at = self.end - 1 if paired else max(self.end, ready)
        for name, cycles in step.units:
            times = self._free[name]
            times[times.index(min(times))] = at + cycles
        fast = step.fast if not paired and self._early(step, at) else None
        for register, latency in step.results:
            self._ready[register] = at + step.cycles - 1, fast or latency
        self.end = at + step.cycles
        self._open = one if not paired and step.cycles == 1 else None

    def _early(self, step: Step, at: int) -> bool:
        """Whether all operands are there for the early stage."""
        made = (self._ready.get(register) for register, _ in step.reads)
        return all(one is None or one[0] + one[1][Use.EARLY] <= at for one in made)

    def jump(self) -> None:
        """The next instruction comes from elsewhere: it does not issue with the last one."""
        self._open = None


@dataclass(frozen=True, slots=True)
class PipelineModel:
    """A core as its steps, pairs and branches.

    ``units`` are names and numbers of them. ``leaving`` is as ``CycleModel.departures``.
    """

    name: str
    units: Mapping[str, int]
    step: Callable[[Instruction], Step]
    pairs: Callable[[Instruction, Instruction], bool]
    leaving: Callable[[Instruction, int, Sequence[int]], int]
    window: int = field(default=12)

    def straight(
        self, before: Sequence[Instruction], code: Sequence[Instruction], *, jumped: bool
    ) -> int:
        """See ``CycleModel``."""
        pipeline = Pipeline(self)
        for one in before:
            pipeline.issue(one)
        if jumped:
            pipeline.jump()
        start = pipeline.end
        for one in code:
            pipeline.issue(one)
        return pipeline.end - start

    def departures(self, branch: Instruction, stayed: int, went: Sequence[int]) -> int:
        """See ``CycleModel``."""
        return self.leaving(branch, stayed, went)
