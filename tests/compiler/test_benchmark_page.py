# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md says what the baseline holds, and the baseline holds every model and board."""

from __future__ import annotations

import importlib
import json

import pytest

pytestmark = [pytest.mark.pure]


@pytest.fixture
def models(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("mcu_models")


def test_the_page_is_the_one_of_the_baseline(models):
    """Written by benchmarks/mcu_models.py --write."""
    baseline = json.loads(models.BASELINE.read_text())
    assert models.PAGE.read_text() == models.page(baseline)


def test_every_model_has_a_row_for_every_board(models):
    baseline = json.loads(models.BASELINE.read_text())
    expected = [f"{model} {board}" for model in models.MODELS for board in models.BOARDS]
    assert list(baseline["rows"]) == expected
    for key, row in baseline["rows"].items():
        assert set(row) in ({"missing"}, set(models.COLUMNS)), key
    assert list(baseline["differences"]) == list(models.MODELS)


def test_a_cell_without_a_number_says_why(models):
    baseline = json.loads(models.BASELINE.read_text())
    baseline["rows"]["kws nucleo-g0b1re"] = {"missing": "too small"}
    del baseline["rows"]["ic nucleo-g0b1re"]
    page = models.page(baseline)
    assert "| nucleo-g0b1re | cortex-m0plus | too small |" in page
    assert "| nucleo-g0b1re | cortex-m0plus | not measured |" in page


def test_no_layer_is_more_than_one_step_from_onnxruntime(models):
    gaps = json.loads(models.BASELINE.read_text())["differences"]
    layered = [gap["layers"] for gap in gaps.values() if "layers" in gap]
    assert len(layered) >= 4
    assert all(gap["largest"] <= 1 for gap in layered)
