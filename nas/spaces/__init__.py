# SPDX-License-Identifier: Apache-2.0
"""Search spaces by name. Adding one: a new file here and a line in ``SPACES``."""

from __future__ import annotations

from tinytailor.nas.spaces.base import Space, SpaceKind, architecture, neighbours
from tinytailor.nas.spaces.decisions import Architecture, Decision, Option
from tinytailor.nas.spaces.image import IMAGE
from tinytailor.nas.spaces.micronas import MICRONAS
from tinytailor.nas.spaces.series import SERIES
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

SPACES: dict[str, SpaceKind] = {
    "series": SERIES,
    "micronas": MICRONAS,
    "image": IMAGE,
}
RENAMED = {"timeseries": "micronas"}  # spaces by their former names

__all__ = [
    "SPACES",
    "Architecture",
    "Decision",
    "Option",
    "Space",
    "SpaceKind",
    "architecture",
    "build_space",
    "default_space",
    "neighbours",
    "parse_space",
    "space_kind",
]


def space_kind(name: str) -> SpaceKind:
    if name in RENAMED:
        raise InputError(f"the search space {name} is called {RENAMED[name]} now; name it so")
    if name not in SPACES:
        raise no_such(f"no search space is called {name!r}", name, tuple(SPACES))
    return SPACES[name]


def build_space(name: str, *shape: int) -> Space:
    """The space ``name`` for data whose samples have ``shape[:-1]``, in ``shape[-1]`` classes."""
    kind = space_kind(name)
    if len(shape) != len(kind.axes):
        fitting = [other for other, k in SPACES.items() if len(k.axes) == len(shape)]
        raise InputError(
            f"space {name} is for samples of {'x'.join(kind.axes[:-1])}, the data has samples of "
            f"{'x'.join(map(str, shape[:-1]))}; a space for them is: {', '.join(fitting) or 'none'}"
        )
    return kind.make(*shape)


def default_space(shape: tuple[int, ...]) -> str:
    """The name of the space for samples (T, C) or (H, W, C)."""
    return "series" if len(shape) == 2 else "image"


def parse_space(text: str) -> Space:
    """The space written with its shape, such as ``micronas:100x6x4`` or ``image:32x32x3x10``."""
    name, _, numbers = text.partition(":")
    kind = space_kind(name)
    parts = numbers.split("x")
    # isdecimal alone admits digits of other scripts, and a sign or a space must not slip through.
    whole = all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts)
    if len(parts) != len(kind.axes) or not whole:
        example = "x".join(map(str, kind.example))
        raise InputError(
            f"--space {text}: the shape {numbers!r} is not {kind.syntax}, such as {example}"
        )
    return kind.make(*map(int, parts))
