# SPDX-License-Identifier: Apache-2.0
"""Packing blocks into the least memory, where some pairs may not lie at some distances.

A block is a buffer, or several that have fixed places relative to each other. For two blocks a and
b, ``forbidden[a][b]`` holds the open intervals in which offset(a) - offset(b) must not be.

    first fit in several orders -> seeded shuffles -> branch and bound, if the instance is small

Every search is limited by a count, never by a clock, so the same instance has the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Intervals = tuple[tuple[int, int], ...]
Forbidden = Mapping[str, Mapping[str, Intervals]]

SHUFFLES = 200  # random orders tried where no fixed one reaches the lower bound
MOST_BLOCKS = 24  # of an instance that is searched exactly
BRANCHES = 4000  # placements that the exact search tries before it gives up


@dataclass(frozen=True, slots=True)
class Block:
    """``bytes`` needed from step ``first`` to step ``last``; only a hint for the order."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Packing:
    """``optimal``: proven to be the least, by the lower bound or by a finished search."""

    size: int
    offsets: Mapping[str, int]
    optimal: bool


def pack(blocks: Sequence[Block], forbidden: Forbidden, alignment: int, bound: int) -> Packing:
    """Offsets, multiples of ``alignment``; ``bound``: what no placement can go below."""
    best = Packing(0, {}, True) if not blocks else None
    for order in _orders(blocks) if blocks else ():
        offsets = first_fit(order, forbidden, alignment)
        size = max(offsets[b.name] + aligned(b.bytes, alignment) for b in blocks)
        if best is None or size < best.size:
            best = Packing(size, offsets, size <= bound)
        if best.optimal:
            break
    assert best is not None
    return best if best.optimal else _Search(blocks, forbidden, alignment, bound, best).run()


def aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def first_fit(order: Iterable[Block], forbidden: Forbidden, alignment: int) -> dict[str, int]:
    """Each block at the lowest offset where it collides with none of those placed before."""
    offsets: dict[str, int] = {}
    for block in order:
        offsets[block.name] = lowest(block.name, offsets, forbidden, alignment)
    return offsets


def lowest(name: str, offsets: Mapping[str, int], forbidden: Forbidden, alignment: int) -> int:
    around = forbidden[name]
    taken = sorted(
        (at + low, at + high)
        for other, at in offsets.items()
        for low, high in around.get(other, ())
    )
    offset = 0
    for low, high in taken:
        if offset > low:
            offset = max(offset, aligned(high, alignment))
    return offset


def _orders(blocks: Sequence[Block]) -> Iterable[list[Block]]:
    """Orders of placing: backwards in time, by size, by life; then seeded shuffles by size."""
    for key in _KEYS:
        yield sorted(blocks, key=key)
    rng = np.random.default_rng(0)
    spread = sum(b.bytes for b in blocks) / max(1, len(blocks))
    for _ in range(SHUFFLES):
        noise = dict(zip(blocks, rng.normal(0, spread, len(blocks)), strict=True))
        yield sorted(blocks, key=lambda b, noise=noise: (-b.bytes + noise[b], b.name))  # type: ignore[misc]


# Each order is good for some shape of network; names break ties.
_KEYS: tuple[Callable[[Block], tuple[object, ...]], ...] = (
    lambda b: (-b.last, -b.bytes, b.name),
    lambda b: (-b.bytes, -b.last, b.name),
    lambda b: (-b.bytes, b.first, b.name),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first, b.name),
    lambda b: (-(b.last - b.first), -b.bytes, b.name),
    lambda b: (b.first, -b.bytes, b.name),
)


class _Search:
    """Branch and bound over the orders in which blocks are placed, each at its lowest offset.

    In the least placement of least sum, taken from low offsets to high, no block can move down: it
    lies where first fit puts it after those below it. So orders of rising offsets are enough, as
    long as a block that must lie higher than another by a forbidden interval does so by 0 or more.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        forbidden: Forbidden,
        alignment: int,
        bound: int,
        best: Packing,
    ) -> None:
        self.blocks = sorted(blocks, key=lambda b: (-b.bytes, b.name))
        self.size = {b.name: aligned(b.bytes, alignment) for b in blocks}
        self.forbidden, self.alignment, self.bound = forbidden, alignment, bound
        self.best, self.left = best, BRANCHES

    def run(self) -> Packing:
        if len(self.blocks) > MOST_BLOCKS:
            return self.best
        self._place({}, 0, 0)
        plain = all(
            low < 0 <= high
            for around in self.forbidden.values()
            for intervals in around.values()
            for low, high in intervals
        )
        proven = self.best.size <= self.bound or (plain and self.left > 0)
        return Packing(self.best.size, self.best.offsets, proven)

    def _place(self, offsets: dict[str, int], last: int, top: int) -> None:
        open_blocks = [b for b in self.blocks if b.name not in offsets]
        if not open_blocks:
            self.best = Packing(top, dict(offsets), False)
            return
        choices = []
        for block in open_blocks:
            at = lowest(block.name, offsets, self.forbidden, self.alignment)
            if at + self.size[block.name] >= self.best.size:
                return  # it only moves up from here
            choices.append((at, block.name))
        for at, name in sorted(choices, key=lambda choice: choice[0]):
            if self.left <= 0 or self.best.size <= self.bound:
                return
            if at < last:
                continue  # reached in another order
            self.left -= 1
            end = max(top, at + self.size[name])
            if end < self.best.size:
                self._place({**offsets, name: at}, at, end)
