# SPDX-License-Identifier: Apache-2.0
"""What a latency table holds: how it was made, the glue of an invoke, one operator's cost.

All are frozen records of JSON values with the same names in the file; a field with a default is
left out where it has that. ``from_json`` is strict: a missing, unknown or wrongly typed field is an
InputError that names it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import zip_longest
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Self, cast, get_args, get_type_hints

from tinytailor.compiler.opkey import OpKey
from tinytailor.targets.errors import InputError
from tinytailor.targets.latency_model import without_zeros

if TYPE_CHECKING:
    from tinytailor.targets import LatencyModel
    from tinytailor.targets.emulator import Counts


class _Record:
    """JSON in and out for a frozen dataclass of numbers, strings, lists of strings and mappings."""

    def to_json(self) -> dict[str, Any]:
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(cast(Any, self))
            if getattr(self, field.name) != field.default
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        hints, needed = _hints(cast(Any, cls))
        missing, unknown = sorted(needed - values.keys()), sorted(values.keys() - hints.keys())
        if missing or unknown:
            raise InputError(f"fields missing: {missing}, unknown: {unknown}")
        return cls(**{name: _typed(name, hints[name], value) for name, value in values.items()})


@cache
def _hints(record: type) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of the fields, and the fields without a default."""
    fields = dataclasses.fields(record)
    needed = (field.name for field in fields if field.default is dataclasses.MISSING)
    return get_type_hints(record), frozenset(needed)


def _plain(value: Any) -> Any:
    if isinstance(value, OpKey | _Record):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


def _typed(name: str, hint: Any, value: Any) -> Any:
    """``value`` as the field's type, or InputError: no number passes for another kind."""
    if hint is OpKey or (isinstance(hint, type) and issubclass(hint, _Record)):
        if isinstance(value, hint):
            return value
        if not isinstance(value, dict):
            raise InputError(f"field {name} must be an object, got {value!r}")
        return hint.from_json(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or value < 0:
            raise InputError(f"field {name} must be finite and at least 0, got {value}")
        return float(value)
    if isinstance(hint, UnionType):  # a type or None
        return None if value is None else _typed(name, get_args(hint)[0], value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if hint is str and isinstance(value, str):
        return value
    if hint == dict[str, Any] and isinstance(value, dict):
        return value
    if hint == dict[str, int] and isinstance(value, dict):
        return {key: _typed(f"{name}.{key}", int, size) for key, size in value.items()}
    if hint == tuple[str, ...] and isinstance(value, list) and _all_text(value):
        return tuple(value)
    if hint == tuple[int, ...] and isinstance(value, list):
        return tuple(_typed(name, int, number) for number in value)
    raise InputError(f"field {name} has the wrong type or sign: {value!r}")


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


@dataclass(frozen=True, slots=True)
class Work(_Record):
    """What the emulator counted in a stretch of code: the input of a board's latency model.

    ``fetched`` are the bytes of code that a cache of each size of FETCH_CACHES fetches again, up to
    the last that is not 0.
    """

    instructions: int
    core_cycles: int
    flash_loads: int
    flash_bytes: int
    fetched: tuple[int, ...] = ()

    @classmethod
    def total(cls, regions: Iterable[Counts]) -> Work:
        return sum(map(cls.of, regions), cls(0, 0, 0, 0))

    @classmethod
    def of(cls, counts: Counts) -> Work:
        if counts.core_cycles is None:
            raise InputError("there is no cycle model of this core, so a table cannot be measured")
        data = counts.flash_loads, counts.flash_bytes
        return cls(counts.instructions, counts.core_cycles, *data, counts.fetched)

    def __sub__(self, other: Work) -> Work:
        """The difference; work is never negative."""
        return _work(max(0, a - b) for a, b in _pairs(self, other))

    def __add__(self, other: Work) -> Work:
        return _work(a + b for a, b in _pairs(self, other))

    def over(self, count: int) -> Work:
        return _work(round(value / count) for value in _numbers(self))

    def times(self, factor: int) -> Work:
        return _work(factor * value for value in _numbers(self))

    @classmethod
    def mean(cls, works: Sequence[Work]) -> Work:
        return sum(works[1:], works[0]).over(len(works))

    def operator_cycles(self, model: LatencyModel, weight_bytes: int) -> float:
        """Modelled cycles of one operator that did this work."""
        data = self.flash_loads, self.flash_bytes
        return model.cycles(self.core_cycles, *data, weight_bytes, self.fetched)

    def glue_cycles(self, model: LatencyModel) -> float:
        """Modelled cycles of code between operators, as `tinytailor profile` counts it."""
        return model.core * self.core_cycles


def _numbers(work: Work) -> tuple[int, ...]:
    data = work.flash_loads, work.flash_bytes
    return (work.instructions, work.core_cycles, *data, *work.fetched)


def _pairs(one: Work, other: Work) -> Iterable[tuple[int, int]]:
    return zip_longest(_numbers(one), _numbers(other), fillvalue=0)


def _work(numbers: Iterable[int]) -> Work:
    instructions, core_cycles, loads, read, *fetched = numbers
    return Work(instructions, core_cycles, loads, read, without_zeros(fetched))


@dataclass(frozen=True, slots=True)
class Glue(_Record):
    """What an emitted network costs besides its operators, measured once per table.

    invoke = base + nodes * per_node + sum of operators
    flash  = image_bytes + nodes * node_bytes + constants + kernels
    RAM    = arena + input + output + static_bytes + stack_bytes + stack of the deepest kernel
    """

    base: Work
    per_node: Work
    image_bytes: int
    node_bytes: int
    static_bytes: int
    stack_bytes: int


@dataclass(frozen=True, slots=True)
class Header(_Record):
    """With what a table was made; rows of equal `origin` belong together.

    Counts are those of a core, whatever board has it. Only cycles that were measured belong to a
    board and its clock: ``target`` and ``clock_hz`` are None in a table that was counted.
    """

    target: str | None
    clock_hz: int | None
    core: str
    isa: str
    toolchain: str
    toolchain_version: str
    toolchain_flags: tuple[str, ...]
    tool_version: str
    runner: str
    compiler: str  # digest of the sources that generate kernels and count their cycles
    created: str
    glue: Glue

    def origin(self) -> dict[str, Any]:
        """The fields that decide the rows; not the date, or the glue itself."""
        values = self.to_json()
        for name in ("created", "glue"):
            del values[name]
        return values

    @property
    def device(self) -> str:
        """What the rows hold for: a core, or the board that they were measured on."""
        if self.target is None:
            return self.core
        return f"{self.target} ({self.core}, {self.clock_hz} Hz)"

    def command(self, out: Path, target: str | None = None, space: str = "SPACE") -> str:
        """What measures rows into the table at ``out``; counts can be made for any board."""
        board = target or self.target
        whose = "" if board else f", BOARD being any with a {self.core}"
        return f"tinytailor measure --target {board or 'BOARD'} --space {space} --out {out}{whose}"


@dataclass(frozen=True, slots=True)
class Placement(_Record):
    """Where the memory of an operator can lie, as its compiler (``Header.compiler``) lowers it.

    ``gap_bytes`` are between its constants in flash; ``overlap``: number of an input, in decimal ->
    how many bytes before it the output must start to lie over it.
    """

    gap_bytes: int
    overlap: dict[str, int]


@dataclass(frozen=True, slots=True)
class Measurement(_Record):
    """One operator configuration, alone in an image, run ``repeats`` times on random inputs.

    ``cycles`` is what the cycle counter of a real core counted, the median of its runs; None where
    nothing was measured. ``counts`` is what the emulator counted, the mean over the repeats,
    rounded; a row that is measured on a board may lack it (None), another never. ``spread_cycles``
    is the largest minus the smallest of the repeats' measured cycles, or else of their
    ``core_cycles``: 0 where no branch depends on data.

    ``code_bytes`` is the operator's own code, which a network holds once for all layers of this
    key, ``entry_bytes`` what each such layer adds, and ``library`` the shared functions it calls,
    with their bytes. ``stack_bytes`` is the worst case of its call graph. ``date`` is the day (UTC)
    of the measurement; runner, compiler with flags and tool version are the header's. A row without
    ``placement`` is as good: the operator is lowered again where that is asked for.
    """

    key: OpKey
    cycles: float | None
    counts: Work | None
    scratch_bytes: int
    constant_bytes: int
    code_bytes: int
    entry_bytes: int
    library: dict[str, int]
    stack_bytes: int
    repeats: int
    spread_cycles: int
    date: str
    placement: Placement | None = None

    def __post_init__(self) -> None:
        if self.counts is None and not self.measured:
            raise InputError("a row must have counts or measured cycles, and has neither")

    @property
    def measured(self) -> bool:
        """Whether a real core ran it, so that its cycles are not modelled."""
        return self.cycles is not None

    @property
    def counted_cycles(self) -> float:
        """Of a board's cycle counter, or of the core alone, without any constants of a board."""
        return self.core_cycles if self.cycles is None else self.cycles

    @property
    def work(self) -> Work:
        """The counts, or InputError where there are none."""
        if self.counts is None:
            raise InputError(
                f"{self.key.text} was measured on a board and not counted; only its cycles are "
                "known, so no board model and no sum of instructions can use it"
            )
        return self.counts

    @property
    def instructions(self) -> int:
        return self.work.instructions

    @property
    def core_cycles(self) -> int:
        return self.work.core_cycles

    @property
    def flash_loads(self) -> int:
        return self.work.flash_loads

    @property
    def flash_bytes(self) -> int:
        """Bytes read from flash as data."""
        return self.work.flash_bytes

    def cycles_under(self, model: LatencyModel) -> float:
        """Measured cycles as they are; else those of a board with these constants."""
        if self.cycles is not None:
            return self.cycles
        return self.work.operator_cycles(model, self.constant_bytes)


def today() -> str:
    """The date of a row that is measured now."""
    return datetime.now(UTC).date().isoformat()
