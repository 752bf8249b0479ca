# SPDX-License-Identifier: Apache-2.0
"""Functions that several operators share: of the C library (memset, a division), and outlined ones.

An image holds each once, so a network needs the union of what its operators call.
"""

from __future__ import annotations

from tinytailor.targets import Board, ImageSizes

RUNTIME = ("vectors", "boot_stage", "Reset_Handler", "Default_Handler", "main")


def library_functions(sizes: ImageSizes, board: Board, own: str) -> dict[str, int]:
    """Name -> bytes of what lies in flash and is neither runtime nor named ``own``…; no aliases."""
    found: dict[int, tuple[str, int]] = {}
    for name, (address, size) in sorted(sizes.symbols.items()):
        if size and board.flash.contains(address) and not name.startswith((own, *RUNTIME)):
            found.setdefault(address, (name, size))
    return dict(found.values())
