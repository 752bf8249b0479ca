# SPDX-License-Identifier: Apache-2.0
"""Board constants from a few measured latencies: the smallest model that predicts best.

A measured point is a sum of parts, and linear in the constants of ``targets.board.LatencyModel``:

    cycles = core * core_cycles + flash_load * loads + flash_byte * bytes
           + flash_byte_beyond_cache * sum_i bytes_i * g(weights_i) + per_operator * operators
           + known

``known`` is what code costs that the cache for instructions fetches again, with the constants that
the board's file has: loops beyond that cache are too rare among operators to fit it. ``core`` is
always there; each of the other four constants may be, which gives 16 models, and the
two sizes of g are chosen among a few where weights of both sides were measured. Each model is
fitted by non-negative least squares of relative error and cross-validated. The one with the least
error wins, unless a smaller one is as good within one standard error of the difference. The error
that is reported is nested: points that are predicted took no part in choosing the model either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

from tinytailor.latency_tables.fit import (
    Array,
    Errors,
    fit,
    relative_errors,
    splits,
    unexplained,
)
from tinytailor.latency_tables.table.records import Work
from tinytailor.targets import LatencyModel
from tinytailor.targets.errors import InputError

CORE, BEYOND = "core", "flash_byte_beyond_cache"
CONSTANTS = (CORE, "flash_load", "flash_byte", BEYOND, "per_operator")
FEWEST_POINTS = 3
SPARE_POINTS = 2  # a model is tried with so many points more than it has parameters
THRESHOLD_STEPS = 4  # weights at which the cache may begin or end to be too small
ON_EACH_SIDE = 2  # points with all weights below, and above, a step of the cache
BOOTSTRAP_POINTS, BOOTSTRAPS = 8, 400
TELLABLE = 0.03  # least unexplained share of a column whose constant can be told
DIGITS = 5
NO_ERROR = 1e-6  # differences below are those of rounding
LEAST_CORE = 0.1  # below it, time does not come from instructions

Sizes = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """One operator of a measured point: what the emulator counted, and its bytes of weights."""

    kind: str
    work: Work
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Point:
    """Measured cycles of an operator, or of a network: operators and the code between them.

    ``known_cycles`` of them are not fitted.
    """

    name: str
    cycles: float
    parts: tuple[Part, ...]
    glue_core_cycles: int = 0
    known_cycles: float = 0.0

    @property
    def core_cycles(self) -> int:
        return self.glue_core_cycles + sum(part.work.core_cycles for part in self.parts)


@dataclass(frozen=True, slots=True)
class Model:
    """Which constants are fitted; the others are 0."""

    constants: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return len(self.constants) + 2 * (BEYOND in self.constants)

    @property
    def text(self) -> str:
        return " + ".join(self.constants)


MODELS = tuple(
    sorted(
        (
            Model((CORE, *rest))
            for size in range(len(CONSTANTS))
            for rest in combinations(CONSTANTS[1:], size)
        ),
        key=lambda model: model.parameters,
    )
)


@dataclass(frozen=True)
class Data:
    """Points as numbers: a column for each constant; that of the cache depends on its sizes."""

    points: tuple[Point, ...]
    sizes: tuple[Sizes, ...] = ()  # of the cache, to be tried

    @classmethod
    def of(cls, points: Sequence[Point]) -> Data:
        return cls(tuple(points), cache_sizes(points))

    @cached_property
    def cycles(self) -> Array:
        return np.array([point.cycles for point in self.points])

    @cached_property
    def known(self) -> Array:
        return np.array([point.known_cycles for point in self.points])

    @cached_property
    def _columns(self) -> dict[str, Array]:
        works = [[part.work for part in point.parts] for point in self.points]
        return {
            CORE: np.array([point.core_cycles for point in self.points], float),
            "flash_load": np.array([sum(w.flash_loads for w in row) for row in works], float),
            "flash_byte": np.array([sum(w.flash_bytes for w in row) for row in works], float),
            "per_operator": np.array([len(point.parts) for point in self.points], float),
        }

    @cached_property
    def _beyond(self) -> dict[Sizes, Array]:
        return {sizes: np.array([beyond(p, sizes) for p in self.points]) for sizes in self.sizes}

    @cached_property
    def _stacked(self) -> dict[tuple[Model, Sizes | None], Array]:
        return {}

    def columns(self, model: Model, sizes: Sizes | None) -> Array:
        if (model, sizes) not in self._stacked:
            known = dict(self._columns)
            if sizes is not None:
                known[BEYOND] = self._beyond[sizes]
            stacked = np.stack([known[name] for name in model.constants], axis=1)
            self._stacked[model, sizes] = stacked
        return self._stacked[model, sizes]


def beyond(point: Point, sizes: Sizes) -> float:
    """Bytes read from flash, weighted with how far the weights exceed the cache."""
    low, high = sizes
    return sum(
        part.work.flash_bytes * min(1.0, max(0.0, (part.weight_bytes - low) / (high - low)))
        for part in point.parts
    )


def cache_sizes(points: Sequence[Point]) -> tuple[Sizes, ...]:
    """Pairs (lo, hi) between measured weights, with measured points on both sides."""
    below = sorted(max(part.weight_bytes for part in point.parts) for point in points)
    above = sorted(min(part.weight_bytes for part in point.parts) for point in points)
    if len(points) < 2 * ON_EACH_SIDE:
        return ()
    low, high = max(below[ON_EACH_SIDE - 1], 256), above[-ON_EACH_SIDE]
    if high < 2 * low:
        return ()
    steps = sorted({round(float(step), -2) for step in np.geomspace(low, high, THRESHOLD_STEPS)})
    return tuple((int(a), int(b)) for a, b in combinations(steps, 2) if a > 0)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Constants of one model; zero where the data want it negative."""

    model: Model
    sizes: Sizes | None
    values: tuple[float, ...]

    def constant(self, name: str) -> float:
        return dict(zip(self.model.constants, self.values, strict=True)).get(name, 0.0)

    def errors(self, data: Data, rows: Array) -> Array:
        columns = data.columns(self.model, self.sizes)[rows]
        return relative_errors(columns, np.array(self.values), data.cycles[rows], data.known[rows])


def fit_model(model: Model, data: Data, rows: Array) -> Fitted:
    """The constants, and the cache sizes if the model has them, of least squared error."""
    best: tuple[float, Fitted] | None = None
    for sizes in data.sizes if BEYOND in model.constants else (None,):
        columns, cycles = data.columns(model, sizes)[rows], data.cycles[rows]
        values = fit(columns, cycles, data.known[rows])
        loss = float(np.sum(relative_errors(columns, values, cycles, data.known[rows]) ** 2))
        if best is None or loss < best[0] * (1 - 1e-9):
            best = loss, Fitted(model, sizes, tuple(map(float, values)))
    assert best is not None
    return best[1]


def admissible(data: Data, count: int) -> list[Model]:
    """The models that ``count`` points can tell apart from noise."""
    return [
        model
        for model in MODELS
        if (model.parameters + SPARE_POINTS <= count or model.constants == (CORE,))
        and (data.sizes or BEYOND not in model.constants)
    ]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and its error on points that it was not fitted on."""

    model: Model
    error: Errors


def compare(
    data: Data, rows: Array, rng: np.random.Generator
) -> tuple[Model, tuple[Candidate, ...]]:
    """The model to take, and how each cross-validates."""
    models = admissible(data, len(rows))
    parts = list(splits(len(rows), rng))
    errors = np.empty((len(models), len(rows)))
    for i, model in enumerate(models):
        for train, test in parts:
            errors[i, test] = np.abs(fit_model(model, data, rows[train]).errors(data, rows[test]))
    best = int(np.argmin(errors.mean(axis=1)))
    chosen = next(
        i for i in range(len(models)) if _as_good(errors[i] - errors[best]) or i == best
    )  # MODELS go from few parameters to many
    return models[chosen], tuple(
        Candidate(model, Errors.of(row)) for model, row in zip(models, errors, strict=True)
    )


def _as_good(excess: Array) -> bool:
    """Whether the mean of these differences is within one standard error of 0."""
    return bool(excess.mean() <= excess.std(ddof=1) / np.sqrt(len(excess)) + NO_ERROR)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted constants with what they rest on; ``ranges`` are 95 % of bootstrap samples."""

    fitted: Fitted
    points: int
    in_sample: Errors
    error: Errors  # cross-validated, the choice of the model included
    candidates: tuple[Candidate, ...]
    ranges: dict[str, tuple[float, float]]
    residuals: tuple[tuple[Point, float], ...]  # predicted / measured - 1
    untold: tuple[str, ...] = field(default=())  # sentences on what these points cannot tell

    def latency_model(self, source: str, before: LatencyModel) -> LatencyModel:
        """The constants; those of fetching code are kept from ``before``, and it says so."""
        value, kept = self.fitted.constant, before.fetch_byte > 0
        return LatencyModel(
            core=value(CORE),
            flash_load=value("flash_load"),
            flash_byte=value("flash_byte"),
            flash_byte_beyond_cache=value(BEYOND),
            cache_bytes=self.fitted.sizes,
            per_operator=value("per_operator"),
            source=source,
            calibrated=True,
            error_percent=round(100 * self.error.mean, 2),
            fetch_byte=before.fetch_byte,
            fetch_cache_bytes=before.fetch_cache_bytes,
            fetch_source=before.fetch_source,
            caveat="code fetch kept, not fitted" if kept else None,
        )


def calibrate(points: Sequence[Point], seed: int = 0) -> Calibration:
    """Choose and fit a model; InputError with fewer than three points."""
    if len(points) < FEWEST_POINTS:
        raise InputError(
            f"{len(points)} measured latencies are too few to fit the constants of a board; "
            f"measure at least {FEWEST_POINTS}, better 10 (tinytailor calibrate --plan 10)"
        )
    data, rows = Data.of(points), np.arange(len(points))
    fitted, candidates = choose(data, seed)
    outer, rng = np.empty(len(points)), np.random.default_rng(seed)
    for train, test in splits(len(points), rng):
        inner, _ = compare(data, train, rng) if len(train) >= FEWEST_POINTS else (MODELS[0], ())
        outer[test] = fit_model(inner, data, train).errors(data, test)
    residuals = fitted.errors(data, rows)
    return Calibration(
        fitted=fitted,
        points=len(points),
        in_sample=Errors.of(residuals),
        error=Errors.of(outer),
        candidates=candidates,
        ranges=_bootstrap(fitted, data, rng) if len(points) >= BOOTSTRAP_POINTS else {},
        residuals=tuple(zip(points, map(float, residuals), strict=True)),
        untold=tuple(cannot_be_told(data, fitted)),
    )


def choose(data: Data, seed: int = 0) -> tuple[Fitted, tuple[Candidate, ...]]:
    """The constants of the best model on all points, and how each model cross-validates."""
    rows = np.arange(len(data.points))
    model, candidates = compare(data, rows, np.random.default_rng(seed))
    return _without_zeros(_rounded(fit_model(model, data, rows))), candidates


def _rounded(fitted: Fitted) -> Fitted:
    """To the digits that are written into a board file."""
    values = tuple(float(f"{value:.{DIGITS}g}") for value in fitted.values)
    return Fitted(fitted.model, fitted.sizes, values)


def _without_zeros(fitted: Fitted) -> Fitted:
    """The smaller model that it is where constants came out as 0."""
    kept = [(n, v) for n, v in zip(fitted.model.constants, fitted.values, strict=True) if v > 0]
    model = Model(tuple(name for name, _ in kept))
    if fitted.constant(CORE) < LEAST_CORE:
        raise InputError(
            "the measured cycles do not grow with the work that was counted, so there is no "
            "factor of the core: were they measured on this target, in these units, with caches "
            "and clock as in the board file?"
        )
    sizes = fitted.sizes if BEYOND in model.constants else None
    return Fitted(model, sizes, tuple(value for _, value in kept))


def _bootstrap(
    fitted: Fitted, data: Data, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """2.5 and 97.5 % of each constant over samples of the points, model and sizes kept."""
    columns = data.columns(fitted.model, fitted.sizes)
    samples = np.empty((BOOTSTRAPS, columns.shape[1]))
    for i in range(BOOTSTRAPS):
        rows = rng.integers(0, len(data.points), len(data.points))
        samples[i] = fit(columns[rows], data.cycles[rows], data.known[rows])
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    return {name: (float(low[j]), float(high[j])) for j, name in enumerate(fitted.model.constants)}


def cannot_be_told(data: Data, fitted: Fitted) -> list[str]:
    """Sentences on the constants that these points say nothing, or not enough, about."""
    found = []
    full = Model((CORE, "flash_load", "flash_byte", "per_operator"))
    columns = data.columns(full, None)
    shares = dict(zip(full.constants, unexplained(columns, data.cycles), strict=True))
    if not columns[:, 2].any():
        found.append("nothing was read from flash, so flash_load and flash_byte stay unknown")
    else:
        found += [
            f"{name} cannot be told: over these points its share is nearly a sum of the others"
            for name in full.constants[1:]
            if shares[name] < TELLABLE and name not in fitted.model.constants
        ]
    weights = [part.weight_bytes for point in data.points for part in point.parts]
    if not data.sizes:
        found.append(
            f"weights of {min(weights)} to {max(weights)} bytes were measured, too near to each "
            f"other (or too few points of each size) to see a cache that is too small for some"
        )
    elif fitted.sizes is None:
        found.append(
            f"no step of a cache was seen between {data.sizes[0][0]} and {data.sizes[-1][1]} "
            "bytes of weights; beyond, nothing is known"
        )
    kinds = {part.kind for point in data.points for part in point.parts}
    if len(kinds) == 1:
        found.append(f"all points are of one kind, {min(kinds)}: others are extrapolated")
    return found
