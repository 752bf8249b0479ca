# SPDX-License-Identifier: Apache-2.0
"""What an operator that was not measured may cost, from the rows of its kind. An estimate.

Counts of one kind are a sum of non-negative terms, fitted to the table's rows by least squares of
relative error. With K = multiply-accumulates per output element, C = input channels:

    1                               entering and leaving
    MACs, MACs of whole 2 x 2 tiles the product
    output elements, and channels   requantizing, storing; reading bias and multiplier
    output pixels x taps x C        copying windows (im2col); the same again where there is a border
    remainders                      loops behind the blocks of 4 and of 16: K % 4, K % 16, C % 4,
                                    C % 16, output channels up to a multiple of 4
    input elements, constants, rows, second input of a fused addition

On the convolutions of the default time-series space MACs alone are wrong by 19 % on average, this
by 2 % (benchmarks/calibration.py). Bytes of code that are fetched again are not fitted: they are
the mean of the kind, per instruction. The error that is reported is cross-validated over the rows
of the kind. A row that exists is never estimated.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.memory.predicted import kernel_bytes
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.fit import Array, Errors, cross_validated, fit
from tinytailor.latency_tables.table.latency_table import Failure, LatencyTable, describe
from tinytailor.latency_tables.table.records import Header, Measurement, Work
from tinytailor.targets.errors import InputError
from tinytailor.targets.latency_model import without_zeros

TARGETS = ("core_cycles", "instructions", "flash_loads", "flash_bytes")
FEWEST_ROWS = 20  # for a fit of all terms
FEWEST_OF_KIND = 4  # for a fit of SMALL terms
SMALL = ("constant", "outputs", "windows")
WORST_MEAN_ERROR = 0.25  # above it an estimate says nothing


def family(key: OpKey) -> str:
    """Keys whose code has one structure: the kind, and how its weights are stored."""
    bits = json.loads(key.attributes).get("weight_bits", 8)
    return key.kind if bits == 8 else f"{key.kind} of {bits}-bit weights"


def features(key: OpKey, constant_bytes: int) -> dict[str, float]:
    """The terms of the module's sum for one operator."""
    op, attributes = key.operator(), json.loads(key.attributes)
    output, first = op.output_shape(*key.input_shapes), key.input_shapes[0]
    elements, channels = int(np.prod(output)), int(output[-1])
    depth_in = int(first[-1])
    pixels, macs = elements // channels, op.macs(*key.input_shapes)
    taps = int(np.prod(attributes.get("kernel", 1)))
    per_output = macs // elements
    gathered = pixels * taps * depth_in
    border = any(attributes.get("padding", ()))
    rows = int(output[1]) if len(output) == 4 else 1
    tiles = -(-pixels // 2) * 2 * (-(-channels // 2) * 2) * per_output
    return {
        "constant": 1.0,
        "macs": macs,
        "macs of tiles": tiles,
        "outputs": elements,
        "output channels": channels,
        "windows": gathered,
        "windows with border": gathered * border,
        "taps with border": pixels * taps * border,
        "depth mod 4": elements * (per_output % 4),
        "depth mod 16": elements * (per_output % 16),
        "channels mod 4": pixels * taps * (depth_in % 4),
        "channels mod 16": pixels * taps * (depth_in % 16),
        "output channels mod 4": pixels * per_output * (-channels % 4),
        "inputs": sum(int(np.prod(shape)) for shape in key.input_shapes),
        "second inputs": elements * (len(key.input_shapes) - 1),
        "constants": constant_bytes,
        "rows": rows,
        "rows with border": rows * border,
    }


def columns(rows: Iterable[Measurement]) -> Array:
    return np.array([list(features(r.key, r.constant_bytes).values()) for r in rows], float)


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients for each of TARGETS; errors are cross-validated on rows of the family alone."""

    coefficients: Mapping[str, Array]
    errors: Mapping[str, Errors]
    fetched: tuple[float, ...]  # bytes per instruction of the family's rows, as in Work
    macs: tuple[int, int]  # of the family's rows, from and to
    bounds: Measurement  # the largest code, stack and shared functions of the family


@dataclass(frozen=True, slots=True)
class Estimates:
    """How many of the operators of a network are estimated, and how wrong such estimates are."""

    operators: int
    of: int
    outside: int  # with more or fewer MACs than any row of their kind
    errors: Mapping[str, Errors]  # kind -> of core cycles

    @property
    def text(self) -> str:
        beyond = f" ({self.outside} outside the measured range)" if self.outside else ""
        errors = "; ".join(f"{name} {error}" for name, error in self.errors.items())
        return (
            f"estimated for {self.operators} of {self.of} operators{beyond}, "
            f"cross-validated error of their cycles: {errors}"
        )

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "text": self.text}


@dataclass(frozen=True)
class EstimatedTable:
    """A latency table that answers for keys without a row by a fit to those with one."""

    table: LatencyTable
    seed: int = 0

    @property
    def path(self) -> Path:
        return self.table.path

    @property
    def header(self) -> Header:
        return self.table.header

    @property
    def rows(self) -> Mapping[OpKey, Measurement]:
        """The measured rows only."""
        return self.table.rows

    @property
    def failures(self) -> Mapping[OpKey, Failure]:
        return self.table.failures

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[OpKey]:
        return iter(self.table)

    def __contains__(self, key: object) -> bool:
        """Whether there is a row or an estimate."""
        if not isinstance(key, OpKey) or key in self.table.failures:
            return False
        if key in self.table:
            return True
        try:
            self.fit_of(key)
        except InputError:
            return False
        return True

    def __getitem__(self, key: OpKey) -> Measurement:
        """The row, or an estimate; InputError where neither can be had, and why."""
        if key in self.table or key in self.table.failures:
            return self.table[key]
        if key not in self._estimated:
            self._estimated[key] = _estimate(key, self.fit_of(key))
        return self._estimated[key]

    @cached_property
    def _estimated(self) -> dict[OpKey, Measurement]:
        return {}

    @cached_property
    def _counted(self) -> list[Measurement]:
        return [row for row in self.table.rows.values() if row.counts is not None]

    @cached_property
    def _fits(self) -> dict[str, Fit | str]:
        return {}

    def fit_of(self, key: OpKey) -> Fit:
        """The fit for keys like this; InputError if the table's rows do not give one."""
        name = family(key)
        if name not in self._fits:
            self._fits[name] = _fit(name, self._counted, self.seed)
        found = self._fits[name]
        if isinstance(found, str):
            raise InputError(
                f"{self.path} has no row for {describe(key)}, and none can be estimated: {found}; "
                f"measure it with: {self.header.command(self.path)}"
            )
        return found

    def estimates(self, keys: Sequence[OpKey]) -> Estimates | None:
        """How much of a network of ``keys`` is estimated; None if all of it was measured."""
        missing = [key for key in keys if key not in self.table]
        if not missing:
            return None
        fits = {key: self.fit_of(key) for key in missing}
        outside = sum(
            not fit.macs[0] <= key.operator().macs(*key.input_shapes) <= fit.macs[1]
            for key, fit in fits.items()
        )
        errors = {family(key): fit.errors["core_cycles"] for key, fit in fits.items()}
        return Estimates(len(missing), len(keys), outside, dict(sorted(errors.items())))


def _fit(name: str, rows: Sequence[Measurement], seed: int) -> Fit | str:
    """The fit for a family that cross-validates best on its rows, or why there is none."""
    own = [row for row in rows if family(row.key) == name]
    if not own:
        return f"no {name} was measured"
    if len(rows) < FEWEST_OF_KIND:
        return f"{len(rows)} rows are too few for a fit"
    tried: list[Fit] = []
    if len(own) >= FEWEST_ROWS:
        tried.append(_fit_rows(name, own, None, seed))
    elif len(own) >= FEWEST_OF_KIND:
        tried.append(_fit_rows(name, own, SMALL, seed))
    if not tried or len(own) < FEWEST_ROWS <= len(rows):
        tried.append(_fit_rows(name, rows, None, seed))
    best = min(tried, key=lambda fit: fit.errors["core_cycles"].mean)
    error = best.errors["core_cycles"].mean
    if error > WORST_MEAN_ERROR:
        return f"the {len(own)} rows of {name} give a fit that is wrong by {100 * error:.0f} %"
    return best


def _fit_rows(
    name: str, rows: Sequence[Measurement], terms: tuple[str, ...] | None, seed: int
) -> Fit:
    """All of ``rows`` fitted by some terms (None: by all)."""
    own = [row for row in rows if family(row.key) == name]
    mine = np.array([family(row.key) == name for row in rows])
    matrix = columns(rows)
    if terms is not None:
        known = features(rows[0].key, 0)
        matrix = matrix * np.array([term in terms for term in known])
    coefficients, errors = {}, {}
    for target in TARGETS:
        values = np.array([getattr(row, target) for row in rows], float)
        some = values > 0  # what reads nothing from flash has no relative error
        coefficients[target], found = np.zeros(matrix.shape[1]), np.where(some, -1.0, 0.0)
        if some.sum() >= FEWEST_OF_KIND and some[mine].any():
            rng = np.random.default_rng(seed)
            found[some] = cross_validated(matrix[some], values[some], rng)
            coefficients[target] = fit(matrix[some], values[some])
        errors[target] = Errors.of(found[mine])
    macs = [row.key.operator().macs(*row.key.input_shapes) for row in own]
    total = sum((row.work for row in own[1:]), own[0].work)
    fetched = tuple(bytes_ / total.instructions for bytes_ in total.fetched)
    return Fit(coefficients, errors, fetched, (min(macs), max(macs)), _bounds(own))


def _bounds(rows: Sequence[Measurement]) -> Measurement:
    """A row with the largest code, stack and shared functions of its kind."""
    library: dict[str, int] = {}
    for row in rows:
        for name, size in row.library.items():
            library[name] = max(size, library.get(name, 0))
    return dataclasses.replace(
        rows[0],
        code_bytes=max(row.code_bytes for row in rows),
        entry_bytes=max(row.entry_bytes for row in rows),
        stack_bytes=max(row.stack_bytes for row in rows),
        library=library,
    )


def _estimate(key: OpKey, found: Fit) -> Measurement:
    """A row that nobody measured: 0 repeats. Scratch memory and constants are exact."""
    scratch, constants = kernel_bytes(key)
    row = np.array(list(features(key, constants).values()), float)
    counts = {name: round(float(row @ found.coefficients[name])) for name in TARGETS}
    fetched = without_zeros(round(share * counts["instructions"]) for share in found.fetched)
    return dataclasses.replace(
        found.bounds,
        key=key,
        cycles=None,
        counts=Work(**counts, fetched=fetched),
        scratch_bytes=scratch,
        constant_bytes=constants,
        repeats=0,
        spread_cycles=0,
        placement=None,
    )
