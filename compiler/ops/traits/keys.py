# SPDX-License-Identifier: Apache-2.0
"""How the fields of an operator show in its key, said where a field is declared.

    groups: int = field(metadata=NUMBER)          {"groups": 4}       <->  4
    shape: Shape = field(metadata=NUMBERS)        {"shape": [1, 60]}  <->  (1, 60)

A field without such a word is in no key: it fills constants or parameters and leaves the code as it
is. An operator made from a key stands for all that share it. It has the default of such a field,
or, where a compiler would fold that away, the example that ``neutral`` names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from tinytailor.compiler.requantization import Requant

if TYPE_CHECKING:
    from tinytailor.compiler.ops.base import Operator

Attributes = Mapping[str, Any]  # JSON values by name, the ones that change the generated code
Metadata = Mapping[str, Any]  # of a dataclass field
Kind = TypeVar("Kind", bound="Operator")

# Zero would be folded away by compilers; most layers end in a ReLU and so have this zero point.
EXAMPLE_ZERO_POINT = -128
EXAMPLE_CLAMP = (-100, 100)
INT8 = (-128, 127)
_KEY = "key"


@dataclass(frozen=True, slots=True)
class InKey:
    """``write``: attributes of a field's name and value; ``read``: a value for it from them."""

    write: Callable[[str, Any], Attributes]
    read: Callable[[str, Attributes], Any]


def in_key(
    write: Callable[[str, Any], Attributes], read: Callable[[str, Attributes], Any]
) -> Metadata:
    return {_KEY: InKey(write, read)}


def _same(value: Any) -> Any:
    return value


def named(read: Callable[[Any], Any], write: Callable[[Any], Any] = _same) -> Metadata:
    """An attribute of the field's own name, in every key."""
    return in_key(lambda name, value: {name: write(value)}, lambda name, a: read(a[name]))


def unless(
    default: Any, read: Callable[[Any], Any], write: Callable[[Any], Any] = _same
) -> Metadata:
    """The same, but left out of the key where the field has its default."""
    return in_key(
        lambda name, value: {} if value == default else {name: write(value)},
        lambda name, a: read(a[name]) if name in a else default,
    )


def neutral(example: Any) -> Metadata:
    """Not in the key; an operator made from one holds ``example``."""
    return in_key(lambda name, value: {}, lambda name, a: example)


def told(read: Callable[[Attributes], Any]) -> Metadata:
    """Not in the key; what other fields wrote there decides the example."""
    return in_key(lambda name, value: {}, lambda name, a: read(a))


def numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in value)


def exactly(count: int) -> Callable[[Any], tuple[int, ...]]:
    def read(value: Any) -> tuple[int, ...]:
        found = numbers(value)
        if len(found) != count:
            raise ValueError(f"{value!r}, expected {count} numbers")
        return found

    return read


NUMBER = named(int)
FLAG = named(bool)
NUMBERS = named(numbers, list)
ZERO_POINT = neutral(EXAMPLE_ZERO_POINT)


def _bound(end: int) -> Metadata:
    """``low`` or ``high``: cores have an instruction for the clamp of int8, not for others."""
    return in_key(
        lambda name, value: {} if value == INT8[end] else {"clamped": True},
        lambda name, a: (EXAMPLE_CLAMP if a.get("clamped") else INT8)[end],
    )


LOW, HIGH = _bound(0), _bound(1)


def _write_requant(name: str, q: Requant | None) -> Attributes:
    if q is None:
        return {}
    return {"shifted": q.shift > 0, **({} if (q.low, q.high) == INT8 else {"clamped": True})}


def _read_requant(name: str, attributes: Attributes) -> Requant:
    low, high = EXAMPLE_CLAMP if attributes.get("clamped") else INT8
    return Requant(EXAMPLE_ZERO_POINT, int(attributes["shifted"]), low, high)


def _read_requant_if_any(name: str, attributes: Attributes) -> Requant | None:
    return _read_requant(name, attributes) if "shifted" in attributes else None


REQUANT = in_key(_write_requant, _read_requant)
OPTIONAL_REQUANT = in_key(_write_requant, _read_requant_if_any)


def key_attributes(op: Operator) -> dict[str, Any]:
    """What the fields of ``op`` write, in their order."""
    attributes: dict[str, Any] = {}
    for field in fields(op):
        if _KEY in field.metadata:
            attributes.update(field.metadata[_KEY].write(field.name, getattr(op, field.name)))
    return attributes


def from_key(kind: type[Kind], attributes: Attributes) -> Kind:
    """The operator of these attributes; KeyError, TypeError or ValueError where they do not fit."""
    read = {
        field.name: field.metadata[_KEY].read(field.name, attributes)
        for field in fields(kind)
        if _KEY in field.metadata
    }
    return kind(**read)
