# SPDX-License-Identifier: Apache-2.0
"""Search spaces by name. Adding one: a new file here and a line in ``SPACES``."""

from __future__ import annotations

from collections.abc import Callable

from tinytailor.nas.spaces.base import (
    Architecture,
    Decision,
    Option,
    Space,
    Stage,
    architecture,
    neighbours,
)
from tinytailor.nas.spaces.timeseries import TimeSeriesSpace
from tinytailor.targets.errors import InputError

SPACES: dict[str, Callable[[int, int, int], Space]] = {
    "timeseries": TimeSeriesSpace,
}

__all__ = [
    "SPACES",
    "Architecture",
    "Decision",
    "Option",
    "Space",
    "Stage",
    "TimeSeriesSpace",
    "architecture",
    "build_space",
    "neighbours",
]


def build_space(name: str, time: int, sensors: int, classes: int) -> Space:
    """The space ``name`` for series of ``time`` samples of ``sensors`` sensors in ``classes``."""
    if name not in SPACES:
        raise InputError(f"no search space is called {name!r}; known: {', '.join(SPACES)}")
    return SPACES[name](time, sensors, classes)
