# SPDX-License-Identifier: Apache-2.0
"""Readable, unique C identifiers from the names of a model file."""

from __future__ import annotations

import re

MAX_LENGTH = 40


def identifier(text: str, otherwise: str) -> str:
    """``text`` as a C identifier of about MAX_LENGTH characters; ``otherwise`` if it is empty.

    TFLite joins the names of fused operators with ";": the first stands for all. A long path
    keeps its end, which tells layers apart.
    """
    words = [word for word in re.split(r"[^0-9A-Za-z]+", text.split(";")[0]) if word]
    while len(words) > 1 and len("_".join(words)) > MAX_LENGTH:
        del words[0]
    name = "_".join(words)[-MAX_LENGTH:]
    if not name:
        return otherwise
    return name if name[0].isalpha() else f"{otherwise}_{name}"


class Names:
    """Hands out each name once, with _2, _3, ... for repetitions."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def fresh(self, text: str, otherwise: str) -> str:
        base = identifier(text, otherwise)
        name, count = base, 1
        while name.lower() in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name.lower())
        return name
