# SPDX-License-Identifier: Apache-2.0
"""What cannot be imported, all of it in one error:

2 operators have no integer form:
  GridSample  node /head/warp      (opset 16)
  Erf         node /block3/gelu/1  (opset 13): replace GELU by ReLU
nothing was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytailor.targets.errors import InputError

ALLOW_FLOAT = "--allow-float compiles it in float"
QUANTIZE_FIRST = (
    "is a float model: give samples of its inputs with --calibration X.npz (in Python: "
    "load_model(path, calibration=...)), and it is quantized to int8"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """An operator of the model file: its type, "node /head/warp" or "tensor ...", "(opset 16)"."""

    operator: str
    place: str
    detail: str = ""
    label: str = ""  # what graph nodes are named after


def place(kind: str, name: str) -> str:
    """Where an operator is; of TFLite's names joined with ";" the first stands for all."""
    return f"{kind} {name.split(';')[0]}"


@dataclass(frozen=True, slots=True)
class Unsupported:
    origin: Origin
    hint: str = ""


class UnsupportedError(InputError):
    """The one error for all operators that stand in the way."""

    def __init__(self, text: str, items: Sequence[Unsupported]) -> None:
        super().__init__(text)
        self.items = items


class Declined(Exception):  # noqa: N818 - not an error yet: it becomes one line of the report
    """Raised by a rule that does not apply, with the reason and perhaps whose it is."""

    def __init__(self, reason: str, origin: Origin | None = None) -> None:
        super().__init__(reason)
        self.origin = origin


def unsupported_error(found: Sequence[Unsupported]) -> UnsupportedError:
    """One error for every operator in ``found``, each operator of the file once."""
    lines: dict[tuple[str, str], Unsupported] = {}
    for item in found:
        lines.setdefault((item.origin.operator, item.origin.place), item)
    items = list(lines.values())
    kind = max(len(item.origin.operator) for item in items)
    place = max(len(item.origin.place) for item in items)
    count = "1 operator has" if len(items) == 1 else f"{len(items)} operators have"
    text = [f"{count} no integer form:"]
    for item in items:
        origin = item.origin
        line = f"  {origin.operator:<{kind}}  {origin.place:<{place}}  {origin.detail}".rstrip()
        text.append(f"{line}: {item.hint}" if item.hint else line)
    return UnsupportedError("\n".join([*text, "nothing was written."]), items)


def with_float_hints(error: UnsupportedError, left: Sequence[Unsupported]) -> UnsupportedError:
    """``error`` with a hint at every operator that is not among those ``left`` with floats."""
    refused = {(item.origin.operator, item.origin.place) for item in left}
    items = []
    for item in error.items:
        if (item.origin.operator, item.origin.place) not in refused:
            hint = f"{item.hint}; {ALLOW_FLOAT}" if item.hint else ALLOW_FLOAT
            item = Unsupported(item.origin, hint)
        items.append(item)
    return unsupported_error(items)
