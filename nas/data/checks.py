# SPDX-License-Identifier: Apache-2.0
"""What arrays of samples, labels and groups have to be; each refusal is one sentence."""

from __future__ import annotations

import numpy as np

from tinytailor.nas.data.signal import AXES
from tinytailor.targets.errors import InputError


def check_samples(place: str, array: str, x: np.ndarray) -> None:
    """InputError unless ``x`` is a non-empty, finite, numeric (N, T, C) or (N, H, W, C)."""
    if x.ndim not in AXES:
        raise InputError(
            f"{place}: array {array} has rank {x.ndim} (shape {x.shape}), expected rank 3: "
            "(series, time, channels), or 4: (images, height, width, channels); a single channel "
            "still needs its axis"
        )
    if 0 in x.shape:
        raise InputError(f"{place}: array {array} is empty, its shape is {x.shape}")
    if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
        raise InputError(f"{place}: array {array} has type {x.dtype}, expected real numbers")
    finite = np.isfinite(x)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{place}: array {array} holds {x[first]} at [{AXES[x.ndim]}] = {list(first)} "
            f"and is not finite in {int((~finite).sum())} places; expected finite numbers, "
            "fill or drop them first"
        )


def check_labels(place: str, array: str, y: np.ndarray, count: int) -> None:
    if y.ndim != 1 or len(y) != count:
        raise InputError(
            f"{place}: array {array} has shape {y.shape}, expected ({count},): one label a sample"
        )
    if not (np.issubdtype(y.dtype, np.integer) or y.dtype.kind in "US"):
        raise InputError(f"{place}: array {array} has type {y.dtype}, expected integers or strings")


def check_apart(place: str, what: str, train: np.ndarray, test: np.ndarray) -> None:
    """InputError if a group, which ``what`` says what it is, is in both parts."""
    both = np.intersect1d(train, test)
    if len(both):
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        raise InputError(
            f"{place}: {what} {both[0]!s}{more} is in the training and in the test part, so the "
            f"test would not be of new ones; expected each {what} in one of them: change the split"
        )
