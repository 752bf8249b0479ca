# SPDX-License-Identifier: Apache-2.0
"""Packing blocks into the least memory, where some pairs may not lie at some distances.

A block is a buffer, or several that have fixed places relative to each other. For two blocks a and
b, ``forbidden[a][b]`` holds the open intervals in which offset(a) - offset(b) must not be.

    first fit in several orders -> seeded shuffles -> branch and bound, if the instance is small

Every search is limited by a count, never by a clock, so the same instance has the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add

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
    instance = _Instance(blocks, forbidden, alignment)
    for order in _orders(blocks) if blocks else ():
        at = instance.first_fit(order, None if best is None else best.size)
        if at is not None:
            size = max(map(add, at, instance.sizes))
            best = Packing(size, instance.named(at), size <= bound)
            if best.optimal:
                break
    assert best is not None
    return best if best.optimal else _Search(instance, bound, best).run()


def aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def first_fit(order: Sequence[Block], forbidden: Forbidden, alignment: int) -> dict[str, int]:
    """Each block at the lowest offset where it collides with none of those placed before."""
    instance = _Instance(order, forbidden, alignment)
    at = instance.first_fit(range(len(order)), None)
    assert at is not None
    return instance.named(at)


class _Instance:
    """Blocks by number. A search places them by the thousand, and of the many blocks of a network
    each meets few: ``around[i]`` are the (block, low, high) that block i may collide with."""

    def __init__(self, blocks: Sequence[Block], forbidden: Forbidden, alignment: int) -> None:
        self.blocks, self.alignment = blocks, alignment
        self.sizes = [aligned(b.bytes, alignment) for b in blocks]
        number = {b.name: i for i, b in enumerate(blocks)}
        self.around = [
            [
                (number[other], low, high)
                for other, intervals in forbidden[b.name].items()
                for low, high in intervals
            ]
            for b in blocks
        ]

    def named(self, at: Sequence[int]) -> dict[str, int]:
        return {b.name: offset for b, offset in zip(self.blocks, at, strict=True)}

    def lowest(self, i: int, at: Sequence[int]) -> int:
        """Where block i fits first; ``at``: offsets of those placed, -1 of the others."""
        taken = [(at[j] + low, at[j] + high) for j, low, high in self.around[i] if at[j] >= 0]
        taken.sort()
        offset, alignment = 0, self.alignment
        for low, high in taken:
            if low < offset < high:
                offset = -(-high // alignment) * alignment
        return offset

    def first_fit(self, order: Iterable[int], below: int | None) -> list[int] | None:
        """Offsets by block; None where their end is not ``below`` that."""
        at = [-1] * len(self.blocks)
        for i in order:
            at[i] = self.lowest(i, at)
            if below is not None and at[i] + self.sizes[i] >= below:
                return None
        return at


def _orders(blocks: Sequence[Block]) -> Iterator[Sequence[int]]:
    """Orders of placing, by number: backwards in time, by size, by life; then seeded shuffles by
    size."""
    for key in _KEYS:
        ranks = [key(block) for block in blocks]
        yield sorted(range(len(blocks)), key=ranks.__getitem__)
    rng = np.random.default_rng(0)
    spread = sum(b.bytes for b in blocks) / max(1, len(blocks))
    sizes = np.array([b.bytes for b in blocks])
    by_name = np.array(sorted(range(len(blocks)), key=lambda i: blocks[i].name))
    for _ in range(SHUFFLES):
        noisy = rng.normal(0, spread, len(blocks)) - sizes
        yield by_name[np.argsort(noisy[by_name], kind="stable")].tolist()


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

    def __init__(self, instance: _Instance, bound: int, best: Packing) -> None:
        self.instance, self.bound = instance, bound
        blocks = instance.blocks
        self.order = sorted(range(len(blocks)), key=lambda i: (-blocks[i].bytes, blocks[i].name))
        self.beside = [sorted({j for j, _, _ in around}) for around in instance.around]
        self.best, self.left = best, BRANCHES

    def run(self) -> Packing:
        count = len(self.order)
        if count > MOST_BLOCKS:
            return self.best
        self._place([-1] * count, [0] * count, 0, 0)
        plain = all(low < 0 <= high for around in self.instance.around for _, low, high in around)
        proven = self.best.size <= self.bound or (plain and self.left > 0)
        return Packing(self.best.size, self.best.offsets, proven)

    def _place(self, at: list[int], lows: list[int], last: int, top: int) -> None:
        """``lows``: where each open block fits first."""
        sizes, most = self.instance.sizes, self.best.size
        choices = []
        for i in self.order:
            if at[i] < 0:
                if lows[i] + sizes[i] >= most:
                    return  # it only moves up from here
                choices.append(i)
        if not choices:
            self.best = Packing(top, self.instance.named(at), False)
            return
        choices.sort(key=lows.__getitem__)
        for i in choices:
            if self.left <= 0 or self.best.size <= self.bound:
                return
            if lows[i] < last:
                continue  # reached in another order
            self.left -= 1
            end = max(top, lows[i] + sizes[i])
            if end < self.best.size:
                placed = at.copy()
                placed[i] = lows[i]
                self._place(placed, self._moved(i, placed, lows), lows[i], end)

    def _moved(self, i: int, at: list[int], lows: list[int]) -> list[int]:
        """``lows`` after block i was placed."""
        moved = lows.copy()
        for j in self.beside[i]:
            if at[j] < 0:
                moved[j] = self.instance.lowest(j, at)
        return moved
