# SPDX-License-Identifier: Apache-2.0
"""Numbers and text as C says them, exactly."""

from __future__ import annotations

import numpy as np


def float_literal(value: float) -> str:
    """A float32 literal of exactly this value."""
    text = float(np.float32(value)).hex()
    digits, exponent = text.split("p")
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0") or "0"
    return f"{whole}.{fraction}p{exponent}f"


def string_literal(text: str) -> str:
    """The UTF-8 bytes of ``text``."""
    plain = set(range(32, 127)) - set(b'\\"?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'
