# SPDX-License-Identifier: Apache-2.0
"""What `tinytailor table check` and `diff` find, on tables with one thing wrong."""

from __future__ import annotations

import dataclasses

import pytest
from table_rows import HEADER, grid, pointwise, row, table_of

from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.ops import Add, AveragePool2d, Dense
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Failure, LatencyTable
from tinytailor.latency_tables.table.checks import check_table
from tinytailor.latency_tables.table.diff import diff_tables

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

ODD = pointwise(6, 24, 24)


def checked(tmp_path, rows, **options):
    return check_table(table_of(tmp_path / "t.jsonl", rows), **options)


def with_row(changed, cycles):
    return [row(key, cycles if key == changed else None) for key in grid()]


def test_a_table_that_follows_its_formula_has_no_findings(tmp_path):
    result = checked(tmp_path, map(row, grid()))
    assert result.findings == ()
    assert result.rows == result.judged == 100
    assert result.steps == 20 * 4 + 20 * 4 + 25 * 3  # by channels, by output channels, by map


@pytest.mark.parametrize("factor", [0.1, 10])
def test_a_pointwise_layer_off_by_ten_is_an_outlier(tmp_path, factor):
    wrong = factor * row(ODD).core_cycles
    findings = checked(tmp_path, with_row(ODD, wrong)).findings
    (outlier,) = [finding for finding in findings if finding.what == "outlier"]
    assert outlier.key == ODD
    assert outlier.values["ratio"] == pytest.approx(factor, rel=0.35)
    assert ("cheaper" if factor < 1 else "dearer") in outlier.message


def test_outliers_are_found_in_families_of_thousands(tmp_path):
    keys = [pointwise(6, c, o) for c in range(8, 56) for o in range(8, 56)]
    wrong = {keys[0], keys[1171], keys[-1]}
    result = checked(
        tmp_path, [row(k, row(k).core_cycles / 10 if k in wrong else None) for k in keys]
    )
    assert {one.key for one in result.findings if one.what == "outlier"} == wrong
    assert result.judged == len(keys)


def test_outliers_are_found_in_the_company_of_outliers(tmp_path):
    wrong = {pointwise(6, 24, out) for out in (8, 16, 24)}
    rows = [row(key, row(key).core_cycles / 20 if key in wrong else None) for key in grid()]
    found = {finding.key for finding in checked(tmp_path, rows).findings}
    assert wrong <= found


def test_a_larger_operator_that_is_cheaper_is_not_monotone(tmp_path):
    cheap = 0.85 * row(pointwise(6, 16, 24)).core_cycles
    findings = checked(tmp_path, with_row(ODD, cheap)).findings
    assert {finding.what for finding in findings} == {"not monotone"}
    assert {finding.key for finding in findings} == {ODD}
    assert {finding.values["size"] for finding in findings} == {"channels"}
    assert "fewer than the" in findings[0].message
    assert "with channels 16 instead of 24" in findings[0].message


def test_a_better_aligned_size_may_be_cheaper_but_a_worse_one_may_not(tmp_path):
    def with_channels(cheap, dear):
        rows = [row(pointwise(6, cheap, 8), 10_000), row(pointwise(6, dear, 8), 20_000)]
        return [finding.what for finding in checked(tmp_path, rows).findings]

    assert with_channels(16, 15) == []
    assert with_channels(20, 18) == []
    assert with_channels(17, 16) == ["not monotone"]
    assert with_channels(32, 16) == ["not monotone"]
    assert with_channels(32, 8) == ["not monotone"]  # no alignment saves three quarters


def test_larger_maps_and_both_inputs_of_a_sum_grow_together(tmp_path):
    adds = [make_key(Add.from_key({}), ((1, s, s, 8),) * 2, "dsp") for s in (4, 8)]
    pools = [make_key(AveragePool2d(Window((s, s))), ((1, s, s, 8),), "dsp") for s in (4, 8)]
    rows = [row(key, cycles) for key, cycles in zip(adds + pools, (9, 5, 9, 5), strict=True)]
    findings = checked(tmp_path, rows).findings
    assert [finding.key for finding in findings] == [adds[1], pools[1]]
    assert {finding.values["size"] for finding in findings} == {"map"}


def test_rows_without_neighbours_are_not_judged(tmp_path):
    lonely = [row(pointwise(4, 8, 8)), row(pointwise(128, 8, 8)), row(pointwise(4, 512, 8))]
    result = checked(tmp_path, [*lonely, row(make_key(Dense(5), ((1, 8),), "dsp"), 10)])
    assert (result.judged, result.findings) == (0, ())


def test_missing_keys_and_failures_are_found_each_once(tmp_path):
    keys = grid()
    table = table_of(tmp_path / "t.jsonl", map(row, keys[2:]))
    table.append([Failure(keys[0], "no room")])
    findings = check_table(LatencyTable.load(table.path), wanted=keys).findings
    assert [(finding.what, finding.key) for finding in findings] == [
        ("failure", keys[0]),
        ("missing", keys[1]),
    ]
    assert "no room" in findings[0].message


def test_tables_that_differ_in_dates_only_are_the_same(tmp_path):
    first = table_of(tmp_path / "a.jsonl", map(row, grid()))
    rows = [dataclasses.replace(row(key), date="2026-03-04") for key in reversed(grid())]
    second = table_of(tmp_path / "b.jsonl", rows)
    found = diff_tables(first, LatencyTable.load(second.path))
    assert not found.rows_differ
    assert (found.same, found.header) == (100, {})


def test_a_difference_names_rows_values_and_headers(tmp_path):
    keys = grid()
    first = table_of(tmp_path / "a.jsonl", map(row, keys[1:]))
    glue = dataclasses.replace(HEADER.glue, node_bytes=41)
    header = dataclasses.replace(HEADER, compiler="ff", glue=glue)
    second = LatencyTable.create(tmp_path / "b.jsonl", header)
    second.append([row(key, 2 * row(key).core_cycles if key == ODD else None) for key in keys[:-1]])
    second.append([Failure(keys[-1], "no room")])
    found = diff_tables(LatencyTable.load(first.path), LatencyTable.load(second.path))
    assert (found.only_first, found.only_second) == ((keys[-1],), (keys[0],))
    assert (found.failures_first, found.failures_second) == ((), (keys[-1],))
    assert found.header == {"compiler": ("00112233", "ff"), "glue.node_bytes": (40, 41)}
    (change,) = found.changed
    assert (change.key, change.ratio) == (ODD, 2)
    once = row(ODD).core_cycles
    assert change.values["counts.instructions"] == (once, 2 * once)
    assert change.values.keys() == {"counts.instructions", "counts.core_cycles"}
    assert found.same == 97
