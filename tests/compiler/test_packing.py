# SPDX-License-Identifier: Apache-2.0
"""Packing random interval sets: nothing collides, nothing beats it where it says optimal."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tinytailor.compiler.memory.packing import (
    _KEYS,
    MOST_BLOCKS,
    SHUFFLES,
    Block,
    aligned,
    first_fit,
    pack,
)
from tinytailor.compiler.memory.plan import Buffer, forbidden, lower_bound

pytestmark = [pytest.mark.pure]

ALIGNMENTS = (1, 8, 16)


def random_buffers(rng: np.random.Generator, count: int, joined: bool = False):
    """Buffers of random sizes and lives, random pairs that may overlap, some in a common home."""
    buffers: list[Buffer] = []
    steps = int(rng.integers(2, 9))
    while len(buffers) < count:
        first = int(rng.integers(steps))
        last = min(steps - 1, first + int(rng.geometric(0.4)))
        home, start = f"b{len(buffers)}", 0
        for part in range(int(rng.integers(2, 4)) if joined and rng.random() < 0.4 else 1):
            size = 4 * int(rng.integers(1, 40)) if joined else int(rng.integers(1, 160))
            begin = max(0, first - part)
            buffers.append(Buffer(f"{home}.{part}", size, begin, last, home, start))
            start += size
    overlaps = {}
    for a in buffers:
        for b in buffers:
            if a.last == b.first > a.first and a.home != b.home and rng.random() < 0.5:
                overlaps[a.name, b.name] = int(rng.integers(0, 50))
    return tuple(buffers), overlaps


def blocks_of(buffers) -> list[Block]:
    homes: dict[str, list[Buffer]] = {}
    for b in buffers:
        homes.setdefault(b.home, []).append(b)
    return [
        Block(
            h, max(b.start + b.bytes for b in bs), min(b.first for b in bs), max(b.last for b in bs)
        )
        for h, bs in homes.items()
    ]


def assert_valid(buffers, overlaps, packing, alignment) -> None:
    start = {b.name: packing.offsets[b.home] + b.start for b in buffers}
    for b in buffers:
        assert packing.offsets[b.home] % alignment == 0
        assert start[b.name] >= 0
        assert start[b.name] + b.bytes <= packing.size
    for a in buffers:
        for b in buffers:
            apart = (
                start[a.name] + a.bytes <= start[b.name] or start[b.name] + b.bytes <= start[a.name]
            )
            if a.name >= b.name or not a.meets(b) or apart:
                continue
            pair = (a.name, b.name) if (a.name, b.name) in overlaps else (b.name, a.name)
            assert start[pair[1]] + overlaps[pair] <= start[pair[0]]


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("joined", [False, True])
def test_no_two_buffers_collide_and_the_size_lies_between_bound_and_sum(alignment, joined):
    rng = np.random.default_rng(alignment)
    for _ in range(60):
        buffers, overlaps = random_buffers(rng, int(rng.integers(1, 16)), joined)
        bound = lower_bound(buffers, overlaps, alignment)
        blocks = blocks_of(buffers)
        packing = pack(blocks, forbidden(buffers, overlaps), alignment, bound)
        assert_valid(buffers, overlaps, packing, alignment)
        assert bound <= packing.size <= sum(aligned(b.bytes, alignment) for b in blocks)
        assert packing.optimal or packing.size > bound


def test_what_is_called_optimal_is_the_best_over_all_orders():
    rng = np.random.default_rng(7)
    proven = beyond_bound = 0
    for _ in range(60):
        buffers, overlaps = random_buffers(rng, int(rng.integers(2, 7)))
        blocks, around = blocks_of(buffers), forbidden(buffers, overlaps)
        bound = lower_bound(buffers, overlaps, 8)
        packing = pack(blocks, around, 8, bound)
        best = min(
            max(at[b.name] + aligned(b.bytes, 8) for b in blocks)
            for order in permutations(blocks)
            for at in [first_fit(order, around, 8)]
        )
        assert packing.size <= best
        if packing.optimal:
            assert packing.size == best
            proven += 1
            beyond_bound += packing.size > bound
    assert proven > 50
    assert beyond_bound > 0


def test_the_least_of_tiny_instances_is_found_by_brute_force_over_all_offsets():
    rng = np.random.default_rng(3)
    for _ in range(40):
        buffers, overlaps = random_buffers(rng, int(rng.integers(2, 5)))
        buffers = tuple(
            Buffer(b.name, 8 * int(rng.integers(1, 4)), b.first, b.last, b.home) for b in buffers
        )
        blocks, around = blocks_of(buffers), forbidden(buffers, overlaps)
        packing = pack(blocks, around, 8, lower_bound(buffers, overlaps, 8))
        assert packing.optimal
        assert packing.size == exhaustive(blocks, around, packing.size)


def exhaustive(blocks, around, most: int) -> int:
    """The least size over all offsets that are multiples of 8."""
    best = most

    def place(index: int, offsets: dict[str, int], top: int) -> None:
        nonlocal best
        if top >= best:
            return
        if index == len(blocks):
            best = top
            return
        block = blocks[index]
        for at in range(0, most, 8):
            if all(
                not (low < at - other < high)
                for name, other in offsets.items()
                for low, high in around[block.name].get(name, ())
            ):
                place(index + 1, {**offsets, block.name: at}, max(top, at + block.bytes))

    place(0, {}, 0)
    return best


def test_of_many_blocks_the_first_order_that_none_is_better_than_decides():
    """Orders are given up early, and shuffles are made without sorting by name and noise."""
    rng = np.random.default_rng(19)
    for _ in range(8):
        buffers, overlaps = random_buffers(rng, MOST_BLOCKS + 4)
        blocks, around = blocks_of(buffers), forbidden(buffers, overlaps)
        packing = pack(blocks, around, 8, 0)  # nothing is proven by a bound of nothing
        every = [first_fit(order, around, 8) for order in all_orders(blocks)]
        sizes = [max(at[b.name] + aligned(b.bytes, 8) for b in blocks) for at in every]
        assert packing.size == min(sizes)
        assert packing.offsets == every[sizes.index(min(sizes))]


def all_orders(blocks):
    """Those that packing.py lists, made in the plainest way."""
    yield from (sorted(blocks, key=key) for key in _KEYS)
    shuffle = np.random.default_rng(0)
    spread = sum(b.bytes for b in blocks) / len(blocks)
    for _ in range(SHUFFLES):
        noise = dict(zip(blocks, shuffle.normal(0, spread, len(blocks)), strict=True))
        yield sorted(blocks, key=lambda b, noise=noise: (-b.bytes + noise[b], b.name))


def test_the_same_instance_has_the_same_result():
    buffers, overlaps = random_buffers(np.random.default_rng(11), 14)
    bound = lower_bound(buffers, overlaps, 8)
    first, second = (
        pack(blocks_of(buffers), forbidden(buffers, overlaps), 8, bound) for _ in range(2)
    )
    assert first == second
