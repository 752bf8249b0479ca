# SPDX-License-Identifier: Apache-2.0
"""Square roots of 16 bits, of numbers of any size below 2^32, in whole numbers."""

from __future__ import annotations

import numpy as np


def root_of(n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(z, floor(sqrt(n * 4^z))) for the most z with n * 4^z < 2^32; n from 1 on."""
    z = (32 - np.frexp(n.astype(np.float64))[1]) // 2
    return z, np.floor(np.sqrt((n << (2 * z)).astype(np.float64))).astype(np.int64)
