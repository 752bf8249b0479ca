# SPDX-License-Identifier: Apache-2.0
"""Limits that come from number formats, which all units share: each check lists what is beyond.

Accumulators are 24 bits wide. With int8 inputs no partial sum exceeds |bias| + 128 * sum|w|, so
the bound is checked per channel here and the hardware never wraps. A requantization shift of up to
8 keeps the reference's 64-bit product exact for such accumulators: 2^23 * 2^8 * 2^31 < 2^63.
"""

from __future__ import annotations

import numpy as np

ACC_LIMIT = 2**23 - 1
MAX_SHIFT = 8
MAX_ITERATIONS = 2**31 - 1  # loop counters are 32 bits wide


def weight_problems(role: str, weight: np.ndarray) -> list[str]:
    low, high = int(weight.min()), int(weight.max())
    if low >= -8 and high <= 7:
        return []
    return [
        f"{role} spans {low}..{high}, expected -8..7: train the network with weights of 4 bits; "
        "tinytailor quantize --scheme int8 makes 8"
    ]


def acc_problems(role: str, weight: np.ndarray, bias: np.ndarray) -> list[str]:
    """``weight`` has one row per output channel."""
    bound = 128 * np.abs(weight.astype(np.int64)).sum(axis=1) + np.abs(bias.astype(np.int64))
    worst = int(bound.argmax())
    if bound[worst] <= ACC_LIMIT:
        return []
    return [
        f"the sum of {role} channel {worst} can reach {bound[worst]} with its bias {bias[worst]}, "
        f"at most {ACC_LIMIT} fits the 24-bit accumulator"
    ]


def requant_problems(role: str, shift: int, multiplier: np.ndarray) -> list[str]:
    problems = []
    if not 0 <= shift <= MAX_SHIFT:
        problems.append(f"{role} requantization shift {shift}, expected 0..{MAX_SHIFT}")
    if int(multiplier.min()) < 0:
        problems.append(f"{role} multiplier {int(multiplier.min())}, expected 0 or more")
    return problems


def iteration_problems(iterations: int) -> list[str]:
    if iterations <= MAX_ITERATIONS:
        return []
    return [f"{iterations} loop iterations, at most {MAX_ITERATIONS} can be counted: cut the map"]
