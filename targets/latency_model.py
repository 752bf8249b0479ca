# SPDX-License-Identifier: Apache-2.0
"""The latency model of a board, as the [latency] table of its file says it.

The latency of one operator on a board, in cycles of its clock:

    cycles = core * core_cycles + flash_load * loads + flash_byte * bytes
           + flash_byte_beyond_cache * bytes * g(weight_bytes)
           + fetch_byte * fetched(fetch_cache_bytes) + per_operator
    g(W)   = clamp((W - lo) / (hi - lo), 0, 1)          with (lo, hi) = cache_bytes

where core_cycles come from the instruction timings of ``targets.cycles``, loads and bytes are the
data reads from flash, and fetched(C) are the bytes of code that a cache of C bytes for instructions
has to fetch again, which is 0 for loops that it holds (``targets/emulator/fetches.h``). The
constants are fitted on measurements of the real board.

Measurements may agree with more than one set of constants. A file says so in [latency.alternative];
then a time is a pair, the lower and the higher one of the two sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from tinytailor.targets.errors import InputError
from tinytailor.targets.toml_table import TomlTable

FETCH_CACHES = tuple(256 << i for i in range(9))  # as in fetches.h: 256 bytes to 64 KiB
CONSTANTS = ("core", "flash_load", "flash_byte", "flash_byte_beyond_cache", "per_operator")


def without_zeros(fetched: Iterable[int]) -> tuple[int, ...]:
    """Bytes fetched again by each of FETCH_CACHES, up to the last that is not 0."""
    bytes_ = list(fetched)
    while bytes_ and not bytes_[-1]:
        bytes_.pop()
    return tuple(bytes_)


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """Fitted constants; ``source`` says on what, ``calibrated`` whether on this board.

    ``error_percent`` is the mean error to expect of one operator's time, None if nobody knows: of
    the fit, on measurements it had not seen, or of constants carried over from another board.
    ``fetch_cache_bytes`` is None where the size of the cache is not known; without ``fetch_byte``
    code beyond it costs nothing. ``caveat`` is said wherever the times are.
    """

    core: float
    flash_load: float
    flash_byte: float
    flash_byte_beyond_cache: float
    cache_bytes: tuple[int, int] | None
    per_operator: float
    source: str
    calibrated: bool
    error_percent: float | None = None
    fetch_byte: float = 0.0
    fetch_cache_bytes: int | None = None
    fetch_source: str | None = None
    caveat: str | None = None
    alternative: LatencyModel | None = None

    @property
    def trust(self) -> str:
        """What every report says beside a modelled time."""
        error = self.error_percent
        if self.calibrated:
            said = "fitted on measurements" + (f", mean error {error:g} % on them" if error else "")
        else:
            said = "uncalibrated, error " + (f"about {error:g} %" if error else "unknown")
        return said if self.caveat is None else f"{said}; {self.caveat}"

    def cycles(
        self,
        core_cycles: int,
        flash_loads: int,
        flash_bytes: int,
        weight_bytes: int,
        fetched: Sequence[int] = (),
    ) -> float:
        """Modelled cycles of one operator whose weights take ``weight_bytes`` of flash.

        ``fetched`` are bytes of code for each size of FETCH_CACHES, zeros at the end left out.
        """
        beyond = 0.0
        if self.cache_bytes is not None:
            low, high = self.cache_bytes
            beyond = min(1.0, max(0.0, (weight_bytes - low) / (high - low)))
        return (
            self.core * core_cycles
            + self.flash_load * flash_loads
            + (self.flash_byte + self.flash_byte_beyond_cache * beyond) * flash_bytes
            + self.fetch_cycles(fetched)
            + self.per_operator
        )

    def fetch_cycles(self, fetched: Sequence[int]) -> float:
        """Cycles of code that the board's cache fetches again."""
        if self.fetch_cache_bytes is None:
            return 0.0
        size = FETCH_CACHES.index(self.fetch_cache_bytes)
        return self.fetch_byte * fetched[size] if size < len(fetched) else 0.0

    def range_of(self, total: Callable[[LatencyModel], float]) -> tuple[float, float] | None:
        """The lower and higher ``total`` of the sets of constants, None if there is one set."""
        if self.alternative is None:
            return None
        low, high = sorted((total(self), total(self.alternative)))
        return low, high

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """(what, value, where that is from)."""
        rows = [("latency", self.trust, self.source), *self._constants()]
        if self.fetch_cache_bytes is not None:
            cost = f"{self.fetch_byte:g} cycles a byte beyond"
            said = cost if self.fetch_byte else "not modelled"
            size = f"cache of {self.fetch_cache_bytes / 1024:g} KiB"
            rows.append(("  code fetch", f"{size}: {said}", self.fetch_source or ""))
        if self.alternative is not None:
            rows.append(("  or", "as well possible", self.alternative.source))
            rows += self.alternative._constants()
        return tuple(rows)

    def _constants(self) -> list[tuple[str, str, str]]:
        return [(f"  {n}", f"{getattr(self, n):g}", "") for n in CONSTANTS if getattr(self, n)]


def read_latency(table: TomlTable) -> LatencyModel:
    """The model of a [latency] table; InputError names the key that is wrong."""
    optional = ("error_percent", "fetch_cache_bytes", "fetch_source", "caveat", "alternative")
    given = [name for name in optional if name in table.values]
    error = table.number("error_percent", minimum=0) if "error_percent" in given else None
    model = replace(
        _constants(table),
        calibrated=table.flag("calibrated", default=False),
        error_percent=error,
        fetch_byte=table.number("fetch_byte", minimum=0, default=0.0),
        fetch_cache_bytes=_fetch_cache(table) if "fetch_cache_bytes" in given else None,
        fetch_source=table.text("fetch_source") if "fetch_source" in given else None,
        caveat=table.text("caveat") if "caveat" in given else None,
    )
    if "alternative" in given:
        other = table.table("alternative")
        found = _constants(other)
        other.finish()
        kept = ("calibrated", "error_percent", "fetch_byte", "fetch_cache_bytes", "fetch_source")
        found = replace(found, **{name: getattr(model, name) for name in kept})
        model = replace(model, alternative=found)
    table.read += [name for name in optional if name not in given]
    table.finish()
    if model.fetch_byte > 0 and model.fetch_cache_bytes is None:
        raise InputError(
            f'{table.path}: key "{table.prefix}fetch_cache_bytes" is missing; expected the bytes '
            f'of the cache for instructions, as "{table.prefix}fetch_byte" is set.'
        )
    return model


def _constants(table: TomlTable) -> LatencyModel:
    """The constants of a set with their source; nothing else is set."""
    model = LatencyModel(
        core=table.number("core", minimum=0.01),
        flash_load=table.number("flash_load", minimum=0, default=0.0),
        flash_byte=table.number("flash_byte", minimum=0, default=0.0),
        flash_byte_beyond_cache=table.number("flash_byte_beyond_cache", minimum=0, default=0.0),
        cache_bytes=table.rising_pair("cache_bytes"),
        per_operator=table.number("per_operator", minimum=0, default=0.0),
        source=table.text("source"),
        calibrated=False,
    )
    if model.flash_byte_beyond_cache > 0 and model.cache_bytes is None:
        raise InputError(
            f'{table.path}: key "{table.prefix}cache_bytes" is missing; expected two rising whole '
            f'numbers [from, to], as "{table.prefix}flash_byte_beyond_cache" is set.'
        )
    return model


def _fetch_cache(table: TomlTable) -> int:
    size = table.integer("fetch_cache_bytes", minimum=FETCH_CACHES[0])
    if size not in FETCH_CACHES:
        raise InputError(
            f'{table.path}: key "{table.prefix}fetch_cache_bytes" is {size}; expected one of '
            f"{', '.join(map(str, FETCH_CACHES))}."
        )
    return size
