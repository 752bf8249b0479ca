# SPDX-License-Identifier: Apache-2.0
"""Estimates of operators without a row: only where asked for, never for a row, and always said."""

from __future__ import annotations

import dataclasses

import counted_tables as made
import numpy as np
import pytest
from scipy.optimize import nnls

from tinytailor.compiler import Graph, Node, Tensor, key_of
from tinytailor.compiler.ir import check
from tinytailor.compiler.memory.predicted import kernel_bytes
from tinytailor.compiler.opkey import example_constants, make_key
from tinytailor.compiler.ops import Add, Conv2d, Dense, Softmax
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Failure, LatencyTable
from tinytailor.latency_tables.cost import network_cost
from tinytailor.latency_tables.estimate import EstimatedTable, features
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

NOISE = 0.05


def noisy(row, seed: int):
    """The row with core cycles that no formula gives exactly."""
    factor = np.exp(np.random.default_rng(seed).normal(0, NOISE))
    counts = dataclasses.replace(row.counts, core_cycles=round(row.counts.core_cycles * factor))
    return dataclasses.replace(row, counts=counts)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> LatencyTable:
    rows = [noisy(made.row(key), i) for i, key in enumerate(made.convolutions())]
    rows += [made.row(key) for key in made.additions()]
    return made.write_table(tmp_path_factory.mktemp("estimate") / "table.jsonl", rows)


def conv(out: int, depth: int = 10, kernel: int = 3):
    op = Conv2d(out, Window((kernel, 1), padding=(kernel // 2, 0, kernel // 2, 0)))
    return make_key(op, ((1, 8, 3, depth),), "dsp")


def chain(*widths: int) -> Graph:
    """Convolutions of these channel counts, one after the other."""
    tensors, nodes = [Tensor("x0", (1, 8, 3, 10))], []
    for i, out in enumerate(widths):
        op = conv(out, tensors[-1].shape[3]).operator()
        tensors.append(Tensor(f"x{i + 1}", op.output_shape(tensors[-1].shape)))
        constants = example_constants(op, (tensors[-2].shape,), seed=i)
        nodes.append(Node(f"n{i}", op, (f"x{i}",), f"x{i + 1}", constants))
    names = {tensor.name: tensor for tensor in tensors}
    return check(Graph("chain", ("x0",), (tensors[-1].name,), names, tuple(nodes)))


def test_without_being_asked_a_missing_operator_is_an_error(table):
    with pytest.raises(InputError, match=r"no row for conv2d .* tinytailor measure"):
        network_cost(chain(12, 9), table, made.board())


def test_what_was_measured_is_never_estimated(table):
    estimated = EstimatedTable(table)
    for key in table:
        assert estimated[key] is table[key]
    assert estimated.estimates(list(table)) is None
    assert (len(estimated), list(estimated)) == (len(table), list(table))


def test_an_estimate_is_near_the_truth_and_knows_its_constants_exactly(table):
    estimated = EstimatedTable(table)
    for out, depth, kernel in ((12, 10, 3), (33, 64, 1), (20, 4, 5)):
        key = conv(out, depth, kernel)
        row, truth = estimated[key], made.row(key)
        assert key not in table
        assert row.core_cycles == pytest.approx(truth.core_cycles, rel=2 * NOISE)
        assert row.flash_loads == pytest.approx(truth.flash_loads, rel=0.02)
        assert (row.scratch_bytes, row.constant_bytes) == kernel_bytes(key)
        assert row.repeats == 0
        assert row.stack_bytes == max(made.row(k).stack_bytes for k in made.convolutions())
        assert row.code_bytes == max(made.row(k).code_bytes for k in made.convolutions())


def test_an_estimate_fetches_as_much_code_again_as_its_kind_does_per_instruction(tmp_path):
    rows = [made.row(key) for key in made.convolutions()]
    rows = [
        dataclasses.replace(
            row, counts=dataclasses.replace(row.work, fetched=(3 * row.instructions,))
        )
        for row in rows
    ]
    rows[0] = dataclasses.replace(rows[0], counts=dataclasses.replace(rows[0].work, fetched=()))
    table = made.write_table(tmp_path / "table.jsonl", rows)
    share = 3 * (1 - rows[0].instructions / sum(row.instructions for row in rows))
    estimate = EstimatedTable(table)[conv(12)]
    assert estimate.work.fetched == (round(share * estimate.instructions),)


def test_the_error_is_that_of_folds_that_were_left_out(table):
    """The same folds, fitted here with scipy on columns that are not scaled."""
    rows = [table[key] for key in made.convolutions()]
    columns = np.array([list(features(r.key, r.constant_bytes).values()) for r in rows], float)
    cycles = np.array([row.core_cycles for row in rows], float)
    errors = np.empty(len(rows))
    for part in np.array_split(np.random.default_rng(0).permutation(len(rows)), 10):
        rest = np.setdiff1d(np.arange(len(rows)), part)
        found, _ = nnls(columns[rest] / cycles[rest, None], np.ones(len(rest)), maxiter=1000)
        errors[part] = np.abs(columns[part] @ found / cycles[part] - 1)
    error = EstimatedTable(table).estimates([conv(12)]).errors["conv2d"]
    assert error.mean == pytest.approx(errors.mean(), rel=1e-3)
    assert error.worst == pytest.approx(errors.max(), rel=1e-3)
    assert NOISE / 2 < error.mean < 2 * NOISE


def test_a_kind_with_few_rows_is_fitted_by_few_terms(table):
    key = make_key(Add(), ((1, 33, 3, 8), (1, 33, 3, 8)), "dsp")
    estimated = EstimatedTable(table)
    assert estimated[key].core_cycles == pytest.approx(made.row(key).core_cycles, rel=0.01)
    assert estimated.estimates([key]).errors["add"].mean < 0.01


def test_a_cost_says_what_is_estimated_and_how_well(table):
    graph, board = chain(8, 12, 9), made.board()
    keys = [key_of(node, graph, "dsp") for node in graph.nodes]
    missing = [key for key in keys if key not in table]
    cost = network_cost(graph, EstimatedTable(table), board)
    assert cost.estimates is not None
    assert (cost.estimates.operators, cost.estimates.of) == (len(missing), 3)
    text = cost.to_json()["provenance"]["latency"]
    assert f"estimated for {len(missing)} of 3 operators" in text
    assert "conv2d mean" in text
    assert cost.to_json()["estimated"]["operators"] == len(missing)
    assert cost.to_json()["estimated"]["errors"]["conv2d"]["mean"] > 0
    assert "estimated" in cost.provenance["flash"]


def test_a_cost_of_measured_operators_says_nothing_of_estimates(tmp_path):
    graph, board = chain(12, 9), made.board()
    rows = [made.row(key_of(node, graph, "dsp")) for node in graph.nodes]
    measured = made.write_table(tmp_path / "full.jsonl", rows)
    cost = network_cost(graph, EstimatedTable(measured), board)
    assert cost == network_cost(graph, measured, board)
    assert cost.to_json()["estimated"] is None
    assert "estimated" not in str(cost.provenance)


def test_what_is_larger_than_all_rows_is_counted_as_outside(table):
    huge = make_key(Conv2d(64, Window((5, 5))), ((1, 40, 40, 64),), "dsp")
    found = EstimatedTable(table).estimates([conv(12), huge])
    assert (found.operators, found.outside) == (2, 1)
    assert "1 outside the measured range" in found.text


def test_kinds_without_rows_and_useless_fits_are_refused(table, tmp_path):
    estimated = EstimatedTable(table)
    dense = make_key(Dense(5), ((1, 24),), "dsp")
    assert dense not in estimated
    with pytest.raises(InputError, match=r"none can be estimated: no dense was measured"):
        estimated[dense]
    narrow = make_key(Conv2d(8, Window((1, 1)), weight_bits=4), ((1, 8, 3, 8),), "dsp")
    with pytest.raises(InputError, match="no conv2d of 4-bit weights was measured"):
        estimated[narrow]
    lone = [made.row(key) for key in made.convolutions()]
    odd = made.row(make_key(Softmax(), ((1, 5),), "dsp"))
    odd = dataclasses.replace(odd, counts=dataclasses.replace(odd.counts, core_cycles=90_000_000))
    strange = EstimatedTable(made.write_table(tmp_path / "strange.jsonl", [*lone, odd]))
    with pytest.raises(InputError, match=r"the 1 rows of softmax give a fit that is wrong by"):
        strange[make_key(Softmax(), ((1, 9),), "dsp")]


def test_an_operator_that_could_not_be_measured_is_not_estimated(tmp_path):
    rows = [made.row(key) for key in made.convolutions()]
    failing = made.write_table(tmp_path / "failing.jsonl", rows)
    failing.append([Failure(conv(12), "too large")])
    with pytest.raises(InputError, match=r"could not be measured .* too large"):
        EstimatedTable(failing)[conv(12)]
