# SPDX-License-Identifier: Apache-2.0
"""What every target says of itself; what only its own kind has, its back end knows."""

from __future__ import annotations

from typing import Any, Protocol


class Target(Protocol):
    """A frozen record read from a TOML file: a microcontroller board, an FPGA."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """By which the compiler finds the back end for it."""

    @property
    def clock_hz(self) -> int: ...

    @property
    def definition(self) -> str:
        """The text of its file."""

    @property
    def chip(self) -> str:
        """The core or the part."""

    @property
    def capacity(self) -> tuple[str, str]:
        """What a network is limited by, in words: flash or multipliers, and RAM."""

    @property
    def trust(self) -> str:
        """What its modelled times are worth, "" if its back end says so itself."""

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """(what, value, where that is from), () if a line says it all."""
