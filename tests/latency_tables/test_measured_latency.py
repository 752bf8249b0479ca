# SPDX-License-Identifier: Apache-2.0
"""The constants of the board files against times that others measured on the boards."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from tinytailor.targets import load_target

pytestmark = [pytest.mark.pure]


@pytest.fixture
def measured(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("measured_latency")


def test_additions_are_modelled_within_4_percent_where_before_it_was_10(measured, data_folder):
    found = {row["board"]: row for row in measured.compared(data_folder)["adds"]}
    assert set(found) == {"nucleo-f446re", "nicla-sense-me", "nucleo-l552ze-q"}
    for name in ("nucleo-f446re", "nicla-sense-me"):
        assert found[name]["before"][0] > 9
        assert found[name]["now"][0] < 4
    assert found["nucleo-l552ze-q"]["now"] == found["nucleo-l552ze-q"]["before"]
    assert found["nucleo-l552ze-q"]["now"][0] < 1


def test_layers_on_a_cortex_m7_are_modelled_within_4_percent(measured, data_folder):
    found = measured.compared(data_folder)["layers"]
    whole = found["all"]
    assert whole["count"] == sum(row["count"] for name, row in found.items() if name != "all")
    assert whole["before"][0] > 5
    assert whole["now"][0] < 4
    assert abs(whole["now"][2]) < abs(whole["before"][2])


def test_the_constants_of_the_files_are_those_that_fit_the_measurements(measured, data_folder):
    rows = {board[0].board: board for board in measured.by_board(measured.adds(data_folder))}
    for name in ("nucleo-f446re", "nicla-sense-me"):
        model = load_target(name).latency
        value, errors = measured.fitted(rows[name], model, "fetch_byte")
        assert model.fetch_byte == pytest.approx(value, abs=0.0006)
        assert np.abs(errors(rows[name])).mean() < 0.01
    layers, constant = measured.layers(data_folder), "flash_byte_beyond_cache"
    model = load_target(measured.LAYERS_BOARD).latency
    value, _ = measured.fitted(layers, model, constant)
    assert model.flash_byte_beyond_cache == pytest.approx(value, abs=0.006)
    out = measured.left_out(layers, model, constant)
    assert 100 * np.abs(out).mean() < 4


def test_whole_networks_are_modelled_as_well_as_before(measured):
    rows = measured.networks()
    for name in ("nucleo-l4r5zi", "nrf5340dk"):
        own = [row for row in rows if row.board == name]
        model, before = load_target(name).latency, measured.earlier(name)
        assert measured.errors(own, model) == measured.errors(own, before)
        mean = 100 * np.abs(measured.errors(own, model)).mean()
        assert mean == pytest.approx(load_target(name).latency.error_percent, abs=0.5)


def test_the_two_sets_of_constants_fit_the_networks_nearly_as_well(measured):
    own = [row for row in measured.networks() if row.board == "nucleo-l4r5zi"]
    model = load_target("nucleo-l4r5zi").latency
    one, other = (100 * np.abs(measured.errors(own, m)).mean() for m in (model, model.alternative))
    assert (round(one, 1), round(other, 1)) == (1.7, 2.2)


def test_the_page_shows_what_is_compared_now(measured, data_folder, repository):
    """benchmarks/board_model.py --write, after new constants with --cores none."""
    kept = json.loads((repository / "benchmarks" / "board_counts.json").read_text())
    assert kept["measured"] == json.loads(json.dumps(measured.compared(data_folder)))
