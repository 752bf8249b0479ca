# SPDX-License-Identifier: Apache-2.0
"""From counted edges between runs to instructions and cycles of each region.

An edge (A, B, n) says that run B happened n times right after run A. So

    instructions(region of B) += n * len(B)
    cycles(region of B)       += n * (what B's instructions cost behind the end of A)
    cycles(region of a branch) += what its outcomes cost: falling through, and going to each target

Run 0 stands before and after a call. Without a cycle model only the first line holds, and no
instruction has to be known by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinytailor.targets.cycles import CycleModel
from tinytailor.targets.emulator.records import Counts
from tinytailor.targets.errors import CheckError
from tinytailor.targets.instructions import Instruction, decode, instruction_sizes
from tinytailor.targets.latency_model import FETCH_CACHES, without_zeros

REGION_ROW = 2 + len(FETCH_CACHES)  # of edges.h: flash reads, bytes, bytes fetched again
STAYED = -2  # an outcome of a branch; the others are the addresses where it went


@dataclass(frozen=True, slots=True)
class Run:
    """Straight code from one taken branch to the next. Without a cycle model ``code`` is empty.

    ``passed`` are the branches in it that were not taken, with their addresses.
    """

    address: int
    size: int
    region: int
    length: int  # in instructions
    code: tuple[Instruction, ...] = ()
    passed: tuple[tuple[int, Instruction], ...] = ()

    @property
    def end(self) -> int:
        return self.address + self.size

    @property
    def last(self) -> Instruction | None:
        return self.code[-1] if self.code else None


def make_runs(rows: Sequence[int], code: bytes, model: CycleModel | None) -> list[Run]:
    """Runs from rows (address, size, region), whose code lies one after the other in ``code``."""
    runs, at = [Run(-1, 0, 0, 0)], 0
    decoded: dict[bytes, tuple[Instruction, ...]] = {}
    for row in range(3, len(rows), 3):
        address, size, region = rows[row : row + 3]
        text = code[at : at + size]
        at += size
        if model is None:
            runs.append(Run(address, size, region, len(instruction_sizes(text))))
            continue
        if text not in decoded:
            decoded[text] = decode(text)
        instructions = decoded[text]
        passed = _branches(address, instructions[:-1])
        runs.append(Run(address, size, region, len(instructions), instructions, passed))
    return runs


def _branches(address: int, code: Sequence[Instruction]) -> tuple[tuple[int, Instruction], ...]:
    found = []
    for one in code:
        if one.transfer is not None:
            found.append((address, one))
        address += one.size
    return tuple(found)


def jumps(source: Run, target: Run) -> bool:
    """Whether the step from one run to the next is a taken branch, not another region's code."""
    last = source.last
    if last is None or source.end == target.address:
        return False
    if last.transfer is None:
        raise CheckError(
            f"control left {source.address:#x}..{source.end:#x} through "
            f"{last.name!r}, which is no branch; an exception was taken."
        )
    return True


def straight_cycles(source: Run, target: Run, model: CycleModel) -> int:
    """Cycles of a run behind another one; a short run that repeats is behind itself for long."""
    before = source.code
    if source is target and before:
        before = before * -(-model.window // len(before))
    return model.straight(before[-model.window :], target.code, jumped=jumps(source, target))


class Ledger:
    """Adds up calls; what an edge costs is worked out once."""

    def __init__(self, runs: Sequence[Run], names: Sequence[str], model: CycleModel | None) -> None:
        self._runs = runs
        self._names = names
        self._model = model
        self._straight: dict[tuple[int, int], int] = {}

    def counts(self, edges: Iterable[int], regions: Sequence[int]) -> dict[str, Counts]:
        """Counts by region of one call, from flat (from, to, count) rows and those of regions."""
        flat = iter(edges)
        rows = list(zip(flat, flat, flat, strict=True))
        instructions = [0] * len(self._names)
        for _, target, n in rows:
            run = self._runs[target]
            instructions[run.region] += n * run.length
        cycles = None if self._model is None else self._cycles(rows, self._model)
        counts = {}
        for i, name in enumerate(self._names):
            core = None if cycles is None else cycles[i]
            loads, read, *again = regions[REGION_ROW * i : REGION_ROW * (i + 1)]
            counts[name] = Counts(instructions[i], core, loads, read, without_zeros(again))
        return counts

    def _cycles(self, rows: Sequence[tuple[int, int, int]], model: CycleModel) -> list[int]:
        cycles = [0] * len(self._names)
        # (address, region) of a branch: itself, and how often it had which outcome
        branches: dict[tuple[int, int], tuple[Instruction, dict[int, int]]] = {}

        def outcome(address: int, region: int, branch: Instruction, to: int, n: int) -> None:
            _, counts = branches.setdefault((address, region), (branch, defaultdict(int)))
            counts[to] += n

        for source, target, n in rows:
            before, run = self._runs[source], self._runs[target]
            straight = self._straight.get((source, target))
            if straight is None:
                straight = straight_cycles(before, run, model)
                self._straight[source, target] = straight
            cycles[run.region] += n * straight
            for address, branch in run.passed:
                outcome(address, run.region, branch, STAYED, n)
            last = before.last
            if last is not None and last.transfer is not None:
                to = run.address if jumps(before, run) else STAYED
                outcome(before.end - last.size, before.region, last, to, n)
        for (_, region), (branch, counts) in branches.items():
            stayed = counts.pop(STAYED, 0)
            cycles[region] += model.departures(branch, stayed, tuple(counts.values()))
        return cycles
