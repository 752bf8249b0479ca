# SPDX-License-Identifier: Apache-2.0
"""counter.c as a library of this machine.

A Python function called for each block would take longer than the emulation by a factor of
hundreds.
"""

from __future__ import annotations

from pathlib import Path

from tinytailor.targets.host_library import host_library

SOURCE = Path(__file__).with_name("counter.c")
HEADERS = tuple(Path(__file__).with_name(name) for name in ("edges.h", "fetches.h"))


def counter_library() -> Path:
    """The shared library; it is built if the cache does not hold it for this source and machine."""
    return host_library(SOURCE, HEADERS, "the emulator's counter")
