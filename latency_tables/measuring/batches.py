# SPDX-License-Identifier: Apache-2.0
"""Which operators share an image: many, as a compiler and an emulator take time to start, but not
so many that a kill loses much or that one worker is left with the last large image.

    batch  <=  MOST_KERNELS, MOST_WORK multiply-accumulates, half of the flash in constants,
               a share of all keys that keeps every worker busy
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinytailor.compiler.opkey import OpKey
from tinytailor.targets import Board

MOST_KERNELS = 24
MOST_WORK = 30_000_000  # a few seconds of emulation on a core without SIMD
SHARES = 2  # batches for each worker, at least, where there are keys enough


def batches(
    keys: Sequence[OpKey], board: Board, workers: int, most: int | None = None
) -> list[list[OpKey]]:
    """``keys`` in order, in groups; a key that is too large for any group is alone.

    ``most`` is MOST_KERNELS unless given.
    """
    most = min(most or MOST_KERNELS, max(1, math.ceil(len(keys) / (SHARES * workers))))
    groups: list[list[OpKey]] = []
    room = work = 0
    for key in keys:
        size, macs = _constant_bytes(key), _macs(key)
        full = bool(groups) and (size > room or macs > work or len(groups[-1]) == most)
        if full or not groups:
            groups.append([])
            room, work = board.flash.bytes // 2, MOST_WORK
        groups[-1].append(key)
        room -= size
        work -= macs
    return groups


def _macs(key: OpKey) -> int:
    return key.operator().macs(*key.input_shapes)


def _constant_bytes(key: OpKey) -> int:
    return sum(spec.bytes for spec in key.operator().constants(*key.input_shapes).values())
