# SPDX-License-Identifier: Apache-2.0
"""How far a long piece of work is, as callers are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` steps of ``stage``; ``text`` says more, such as the present loss."""

    stage: str
    done: int
    total: int
    text: str = ""


OnProgress = Callable[[Progress], None]
