# SPDX-License-Identifier: Apache-2.0
"""From counted edges between blocks to instructions and cycles of each region.

An edge (A, B, n) says that block B ran n times right after A. So

    instructions(region of B) += n * len(B)
    cycles(region of B)       += n * (cost of B's instructions, the first one given A's last one)
    cycles(region of A)       += n * (what a taken branch adds), if B is not behind A in memory

Block 0 stands before and after a call. How the emulator cuts code into blocks has no influence.
Without a cycle model only the first line holds, and no instruction has to be known by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinytailor.targets.cycles import CycleModel, cost, taken
from tinytailor.targets.emulator.records import Counts
from tinytailor.targets.errors import CheckError
from tinytailor.targets.instructions import Instruction, decode, instruction_sizes


@dataclass(frozen=True, slots=True)
class Block:
    """Straight code that was translated as a whole; ``body`` are the cycles but for the first.

    Without a cycle model ``code`` is empty and ``body`` 0.
    """

    address: int
    size: int
    region: int
    length: int  # in instructions
    code: tuple[Instruction, ...] = ()
    body: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What one step along an edge costs, and in which regions."""

    from_region: int
    to_region: int
    instructions: int
    cycles: int
    taken_cycles: int


def make_blocks(rows: Sequence[int], code: bytes, model: CycleModel | None) -> list[Block]:
    """Blocks from rows (address, size, region), whose code lies one after the other in ``code``."""
    blocks, at = [Block(-1, 0, 0, 0)], 0
    decoded: dict[bytes, tuple[tuple[Instruction, ...], int]] = {}
    for row in range(3, len(rows), 3):
        address, size, region = rows[row : row + 3]
        text = code[at : at + size]
        at += size
        if model is None:
            blocks.append(Block(address, size, region, len(instruction_sizes(text))))
            continue
        if text not in decoded:
            instructions = decode(text)
            pairs = zip(instructions[1:], instructions, strict=False)
            decoded[text] = instructions, sum(cost(model, one, before) for one, before in pairs)
        instructions, body = decoded[text]
        blocks.append(Block(address, size, region, len(instructions), instructions, body))
    return blocks


def make_step(source: Block, target: Block, model: CycleModel | None) -> Step:
    """The cost of going from the end of one block through the next one."""
    if model is None:
        return Step(source.region, target.region, target.length, 0, 0)
    last = source.code[-1] if source.code else None
    straight = last is not None and source.address + source.size == target.address
    taken_cycles = 0
    if last is not None and not straight:
        if last.transfer is None:
            raise CheckError(
                f"control left {source.address:#x}..{source.address + source.size:#x} through "
                f"{last.name!r}, which is no branch; an exception was taken."
            )
        taken_cycles = taken(model, last)
    cycles = target.body
    if target.code:
        cycles += cost(model, target.code[0], last if straight else None)
    return Step(source.region, target.region, target.length, cycles, taken_cycles)


class Ledger:
    """Adds up calls; what an edge costs is worked out once."""

    def __init__(
        self, blocks: Sequence[Block], names: Sequence[str], model: CycleModel | None
    ) -> None:
        self._blocks = blocks
        self._names = names
        self._model = model
        self._steps: dict[tuple[int, int], Step] = {}

    def counts(self, edges: Iterable[int], reads: Sequence[int]) -> dict[str, Counts]:
        """Counts by region of one call, from flat (from, to, count) and (reads, bytes) rows."""
        instructions, cycles = [0] * len(self._names), [0] * len(self._names)
        flat = iter(edges)
        for source, target, n in zip(flat, flat, flat, strict=True):
            step = self._step(source, target)
            instructions[step.to_region] += n * step.instructions
            cycles[step.to_region] += n * step.cycles
            cycles[step.from_region] += n * step.taken_cycles
        return {
            name: Counts(
                instructions[i],
                None if self._model is None else cycles[i],
                reads[2 * i],
                reads[2 * i + 1],
            )
            for i, name in enumerate(self._names)
        }

    def _step(self, source: int, target: int) -> Step:
        step = self._steps.get((source, target))
        if step is None:
            step = make_step(self._blocks[source], self._blocks[target], self._model)
            self._steps[source, target] = step
        return step
