# SPDX-License-Identifier: Apache-2.0
"""Fitting board constants: what goes in comes out, and what cannot be told is said."""

from __future__ import annotations

import dataclasses

import counted_tables as made
import numpy as np
import pytest

from tinytailor.latency_tables.calibration.calibrate import (
    MODELS,
    Data,
    Model,
    Point,
    beyond,
    cache_sizes,
    calibrate,
    choose,
    compare,
    fit_model,
)
from tinytailor.latency_tables.calibration.plan import propose
from tinytailor.latency_tables.calibration.points import find_outliers
from tinytailor.latency_tables.fit import (
    Errors,
    cross_validated,
    fit,
    relative_errors,
    unexplained,
)
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

TRUE = {"core": 1.2, "flash_load": 2.5, "flash_byte": 0.5, "per_operator": 1500.0}


def error_on(data_points: list[Point], fitted) -> float:
    """Mean relative error of a fit on other points, without the module's columns."""
    found = []
    for point in data_points:
        (part,) = point.parts
        work, value = part.work, fitted.constant
        cycles = value("core") * work.core_cycles + value("flash_load") * work.flash_loads
        cycles += value("flash_byte") * work.flash_bytes + value("per_operator")
        if fitted.sizes is not None:
            cycles += value("flash_byte_beyond_cache") * beyond(point, fitted.sizes)
        found.append(abs(cycles / point.cycles - 1))
    return float(np.mean(found))


@pytest.mark.parametrize("model", [m for m in MODELS if len(m.constants) == m.parameters])
def test_constants_come_back_from_measurements_without_noise(model):
    truth = {name: TRUE[name] for name in model.constants}
    fitted, _ = choose(Data.of(made.points(made.model(**truth))[::3]))
    assert fitted.model == model
    assert dict(zip(model.constants, fitted.values, strict=True)) == pytest.approx(truth)


def test_a_cache_that_is_too_small_for_some_weights_comes_back():
    low, high = cache_sizes(made.points(made.model())[::2])[2]
    truth = made.model(
        core=1.1, flash_byte=0.5, flash_byte_beyond_cache=0.9, cache_bytes=(low, high)
    )
    fitted, _ = choose(Data.of(made.points(truth)[::2]))
    assert fitted.sizes == (low, high)
    assert fitted.constant("flash_byte_beyond_cache") == pytest.approx(0.9)
    assert fitted.constant("flash_byte") == pytest.approx(0.5)
    assert fitted.constant("core") == pytest.approx(1.1)


@pytest.mark.parametrize("seed", range(3))
def test_noise_does_not_bring_in_constants(seed):
    points = made.points(made.model(core=1.31), noise=0.02, seed=seed)
    data = Data.of(points[::3])
    chosen, candidates = compare(data, np.arange(12), np.random.default_rng(0))
    best = min(candidates, key=lambda candidate: candidate.error.mean)
    assert chosen.parameters <= best.model.parameters
    assert error_on(points, fit_model(chosen, data, np.arange(12))) < 0.03


@pytest.mark.parametrize("seed", range(2))
def test_ten_proposed_operators_with_two_percent_noise_give_the_others_within_three(seed):
    truth = made.model(core=1.083, flash_load=3.15, per_operator=1630)
    points = made.points(truth, noise=0.02, seed=seed)
    chosen = propose([made.row(key) for key in made.convolutions()], 10)
    by_name = {point.name: point for point in points}
    measured = [by_name[row.key.text] for row in chosen]
    result = calibrate(measured)
    others = [point for point in points if point not in measured]
    assert error_on(others, result.fitted) < 0.03
    assert result.error.mean < 0.06
    low, high = result.ranges["core"]
    assert low <= result.fitted.constant("core") <= high


def test_the_error_of_a_candidate_is_that_of_leaving_one_out():
    points = made.points(made.model(core=1.31, per_operator=900), noise=0.03)[::3]
    _, candidates = compare(Data.of(points), np.arange(12), np.random.default_rng(0))
    core = next(c for c in candidates if c.model == Model(("core",)))
    ratio = np.array([point.core_cycles / point.cycles for point in points])
    errors = []
    for i in range(12):
        rest = np.delete(ratio, i)  # minimize sum (a r - 1)^2: a = sum r / sum r^2
        errors.append(abs(rest.sum() / (rest**2).sum() * ratio[i] - 1))
    assert core.error.mean == pytest.approx(np.mean(errors))
    assert core.error.worst == pytest.approx(max(errors))


def test_a_network_counts_as_the_sum_of_its_operators_and_the_code_between():
    truth = made.model(core=1.2, per_operator=800)
    singles = made.points(truth)
    parts = tuple(point.parts[0] for point in singles[:5])
    cycles = sum(point.cycles for point in singles[:5]) + 1.2 * 400
    whole = Point("network", cycles, parts, glue_core_cycles=400)
    fitted, _ = choose(Data.of([whole, *singles[10:18]]))
    assert fitted.constant("core") == pytest.approx(1.2)
    assert fitted.constant("per_operator") == pytest.approx(800)


def test_too_few_points_are_refused():
    with pytest.raises(InputError, match=r"2 measured latencies are too few .* --plan 10"):
        calibrate(made.points(made.model())[:2])


def test_three_points_give_the_factor_of_the_core_alone():
    result = calibrate(made.points(made.model(**TRUE))[::12])
    assert result.fitted.model.constants == ("core",)
    assert not result.ranges


def test_cycles_that_do_not_depend_on_the_work_are_refused():
    points = [dataclasses.replace(p, cycles=5000.0) for p in made.points(made.model())[::3]]
    with pytest.raises(InputError, match="do not grow with the work"):
        choose(Data.of(points))


def test_what_the_points_cannot_tell_is_said():
    points = made.points(made.model(core=1.2), noise=0.01)
    small = sorted(points, key=lambda p: p.parts[0].weight_bytes)[:8]
    same = [
        dataclasses.replace(p, parts=(dataclasses.replace(p.parts[0], weight_bytes=700),))
        for p in small
    ]
    told = " ".join(calibrate(same).untold)
    assert "weights of 700 to 700 bytes" in told
    assert "all points are of one kind, conv2d" in told
    work = [
        dataclasses.replace(p.parts[0].work, flash_bytes=4 * p.parts[0].work.flash_loads)
        for p in points
    ]
    tied = [
        dataclasses.replace(p, parts=(dataclasses.replace(p.parts[0], work=w),))
        for p, w in zip(points, work, strict=True)
    ]
    assert "flash_byte cannot be told" in " ".join(calibrate(tied[::4]).untold)


@pytest.mark.parametrize("factor", [0.023, 40.0])
def test_one_wrong_measurement_is_found_and_no_other(factor):
    points = made.points(made.model(**TRUE), noise=0.03)[::3]
    assert find_outliers(points) == ()
    points[4] = dataclasses.replace(points[4], cycles=points[4].cycles * factor)
    ((point, ratio),) = find_outliers(points)
    assert point is points[4]
    assert ratio == pytest.approx(factor, rel=0.15)


def test_a_plan_has_every_kind_and_small_and_large_weights():
    rows = [made.row(key) for key in (*made.convolutions(), *made.additions())]
    chosen = propose(rows, 6)
    assert len({row.key for row in chosen}) == 6
    assert {row.key.kind for row in chosen} == {"conv2d", "add"}
    weights = [row.constant_bytes for row in rows if row.key.kind == "conv2d"]
    found = [row.constant_bytes for row in chosen]
    assert max(found) == max(weights)
    with pytest.raises(InputError, match="cannot be chosen out of"):
        propose(rows, len(rows) + 1)


def test_the_fit_is_never_negative_and_least_in_relative_error():
    rng = np.random.default_rng(3)
    columns = rng.uniform(0.1, 1, (40, 3)) * np.array([1.0, 1e4, 1e-3])
    values = columns @ np.array([5.0, 0.0, 7.0]) * np.exp(rng.normal(0, 0.1, 40))
    found = fit(columns, values)
    assert (found >= 0).all()
    least = np.sum(relative_errors(columns, found, values) ** 2)
    for _ in range(50):
        other = np.maximum(0, found * np.exp(rng.normal(0, 0.05, 3)) + rng.normal(0, 1e-6, 3))
        assert np.sum(relative_errors(columns, other, values) ** 2) >= least - 1e-12


def test_cross_validation_tests_every_row_once_on_rows_it_did_not_see():
    """Values without any relation to the column: in-sample is closer than left out."""
    rng = np.random.default_rng(0)
    columns, values = rng.uniform(1, 2, (50, 8)), rng.uniform(1, 2, 50)
    inside = relative_errors(columns, fit(columns, values), values)
    outside = cross_validated(columns, values, np.random.default_rng(0))
    assert Errors.of(outside).mean > Errors.of(inside).mean
    assert np.isfinite(outside).all()


def test_a_column_that_others_give_is_unexplained_by_nothing():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, (2, 20))
    shares = unexplained(np.stack([a, b, a + 2 * b, np.zeros(20)], axis=1), np.ones(20))
    assert shares == pytest.approx([0, 0, 0, 0], abs=1e-9)
    assert (unexplained(np.stack([a, b], axis=1), np.ones(20)) > 0.05).all()
