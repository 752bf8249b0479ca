# SPDX-License-Identifier: Apache-2.0
"""Which windows of a recording overlap by half, so that a true shift in time can be cut out of two.

    window i            [ a | b ]
    window i + 1            [ b | c ]      follows i; shifted by s steps, a is left and c enters

A window's ``following`` is the row number of the next one, -1 where there is none.
"""

from __future__ import annotations

import numpy as np


def half_overlaps(x: np.ndarray, *same: np.ndarray | None) -> np.ndarray | None:
    """following (N,) int64 of the windows ``x`` (N, T, C), by their contents: row i + 1 follows row
    i if it begins as that ends, and if they are equal in the arrays ``same`` (N,), such as subject
    and label. None if no row follows another."""
    if x.ndim != 3 or x.shape[1] % 2 or len(x) < 2:
        return None
    half = x.shape[1] // 2
    pairs = (x[:-1, half] == x[1:, 0]).all(axis=1)
    for values in same:
        if values is not None:
            pairs &= values[:-1] == values[1:]
    rows = np.flatnonzero(pairs)
    rows = rows[(x[rows, half:] == x[rows + 1, :half]).all(axis=(1, 2))]
    if not len(rows):
        return None
    following = np.full(len(x), -1, np.int64)
    following[rows] = rows + 1
    return following


def reindexed(following: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """The same for the rows that are taken, in the order of ``rows``."""
    if following is None:
        return None
    place = np.full(len(following) + 1, -1, np.int64)  # the last is that of -1
    place[rows] = np.arange(len(rows))
    result: np.ndarray = place[following[rows]]
    return result
