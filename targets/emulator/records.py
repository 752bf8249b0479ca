# SPDX-License-Identifier: Apache-2.0
"""What is called on the emulated core, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that the callee gets a pointer to. Without ``data`` it holds the fill pattern.

    ``constant``: the callee must not write it, which is checked.
    """

    size: int
    data: bytes | None = None
    read_back: bool = False
    constant: bool = False

    def __post_init__(self) -> None:
        if self.size < 0 or (self.data is not None and len(self.data) != self.size):
            given = "no data" if self.data is None else f"{len(self.data)} bytes of data"
            raise InputError(f"a buffer of {self.size} bytes was given {given}.")


@dataclass(frozen=True, slots=True)
class Call:
    """One call ``symbol(buffer 0, buffer 1, ...)`` with a pointer to each buffer."""

    symbol: str
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class CallResult:
    """``outputs`` are the buffers to read back, in order; ``counts`` go by region name.

    ``stack_bytes`` is how deep the stack was written. A frame whose lowest words were reserved but
    never written is seen only down to the last written one. ``measured_cycles`` are those of each
    run on a device, which counts nothing else.
    """

    outputs: tuple[bytes, ...]
    counts: Mapping[str, Counts]
    stack_bytes: int
    measured_cycles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Work of one region during one call.

    Flash loads are data reads, each access counted, those of several registers or of a vector as
    words. ``core_cycles`` is None for cores without a cycle model. ``fetched`` are the bytes of
    code that caches of instructions have to fetch again, one number for each size of
    ``FETCH_CACHES`` up to the last that is not 0.
    """

    instructions: int
    core_cycles: int | None
    flash_loads: int
    flash_bytes: int
    fetched: tuple[int, ...] = ()
