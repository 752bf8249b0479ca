# SPDX-License-Identifier: Apache-2.0
"""Which few operators to measure, so that the constants of a board can be told from them.

Each operator is a row of what the constants contribute to its own cycles (flash, also beyond
caches of several sizes, and what an operator costs by itself), of its size, its weights and its
kind. Rows are added greedily, each the one that raises

    log det (X^T X + ridge I)

most (D-optimal design): the ellipsoid of what the measurements leave open shrinks fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinytailor.latency_tables.fit import Array
from tinytailor.latency_tables.table.records import Measurement
from tinytailor.targets import Board
from tinytailor.targets.errors import InputError

RIDGE = 1e-3
TYPICAL_CONSTANT = 2000.0  # cycles per operator seen on measured boards: 0 to 2,370
TYPICAL_LOAD = 3.0
CACHE_BYTES = ((1_000, 4_000), (4_000, 16_000), (16_000, 64_000))  # where a cache may end
KIND_WEIGHT = 0.3  # the board's constants matter more than how many kinds are covered
FIRMWARE_BYTES = 8 * 1024  # what runs operators on a board takes 5.4 KiB of flash, 4.5 of RAM


def fits(row: Measurement, board: Board) -> bool:
    """Whether the operator can run alone on ``board``, whose memories its row knows nothing of."""
    shapes = (*row.key.input_shapes, row.key.operator().output_shape(*row.key.input_shapes))
    kinds = zip(shapes, row.key.dtypes, strict=True)
    tensors = sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in kinds)
    flash = row.constant_bytes + row.code_bytes + row.entry_bytes + sum(row.library.values())
    return (
        tensors + row.scratch_bytes + row.stack_bytes + FIRMWARE_BYTES <= board.ram.bytes
        and flash + FIRMWARE_BYTES <= board.flash.bytes
    )


def propose(rows: Sequence[Measurement], count: int) -> tuple[Measurement, ...]:
    """``count`` of ``rows``, most telling first; InputError if there are fewer."""
    if not 0 < count <= len(rows):
        raise InputError(f"{count} operators cannot be chosen out of {len(rows)}")
    features = _features(rows)
    inverse = np.eye(features.shape[1]) / RIDGE
    left, chosen = list(range(len(rows))), []
    for _ in range(count):
        # det(A + x x^T) = det(A) * (1 + x^T A^-1 x)
        gains = np.einsum("ij,jk,ik->i", features[left], inverse, features[left])
        best = left.pop(int(np.argmax(gains.round(9))))
        chosen.append(best)
        step = inverse @ features[best]
        inverse -= np.outer(step, step) / (1 + features[best] @ step)
    return tuple(rows[i] for i in chosen)


def _features(rows: Sequence[Measurement]) -> Array:
    """One row per operator, columns of spread 1, those of kinds of KIND_WEIGHT."""
    core = np.array([row.core_cycles for row in rows], float)
    loads = np.array([row.flash_loads for row in rows], float)
    weights = np.array([row.constant_bytes for row in rows], float)
    total = core + TYPICAL_LOAD * loads + TYPICAL_CONSTANT
    beyond = [
        loads / total * np.clip((weights - low) / (high - low), 0, 1) for low, high in CACHE_BYTES
    ]
    shares = [loads / total, 1 / total, np.log(total), np.log1p(weights), *beyond]
    free = np.stack(shares, axis=1)
    spread = free.std(axis=0)
    free = (free - free.mean(axis=0)) / np.where(spread == 0, 1.0, spread)
    kinds = sorted({row.key.kind for row in rows})
    of_kind = np.array([[row.key.kind == kind for kind in kinds] for row in rows], float)
    return np.concatenate([np.ones((len(rows), 1)), free, KIND_WEIGHT * of_kind], axis=1)
