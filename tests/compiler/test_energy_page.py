# SPDX-License-Identifier: Apache-2.0
"""docs/energy.md and the powers in the board files are those of the published figures."""

from __future__ import annotations

import importlib
import json
import re
from statistics import mean

import pytest

from tinytailor.targets import load_target

pytestmark = [pytest.mark.pure]


@pytest.fixture
def pages(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("energy")


def test_the_page_is_the_one_of_the_figures_and_the_board_files(pages):
    """Written by benchmarks/energy.py --write, also after new constants of a board."""
    counts = json.loads(pages.COUNTS.read_text())["counts"]
    assert pages.PAGE.read_text() == pages.page(counts)


def test_a_network_left_out_is_predicted_from_the_others(pages):
    """Powers 10, 10, 10 and 20 mW: each of the first from 40 / 3, the last from 10."""
    p = pages.Published("x", "y", "v1", (10, 20, 30, 80), (1, 2, 3, 4), streaming=(6.0, 0.5))
    assert p.powers == (10, 10, 10, 20)
    assert p.errors == pytest.approx((100 / 3, 100 / 3, 100 / 3, -50))
    assert p.idle() == pytest.approx((2, -8, 2))  # (6 - 0.5 * 10) / 0.5, and with 20
    assert pages.summary(p.errors) == pytest.approx((37.5, 50, 50))


def test_the_powers_of_the_board_files_are_those_of_the_figures(pages):
    taken = [p for p in pages.PUBLISHED if p.board]
    for p in taken:
        model = load_target(p.board).power(p.supply)
        sizes = [abs(error) for error in p.errors]
        assert model.calibrated
        assert model.active_mw == float(f"{mean(p.powers):.3g}")
        assert model.error_percent == round(mean(sizes), 1)
        assert f"largest {max(sizes):.1f} %" in model.source
        assert (model.idle_mw is None) == (p.idle() is None)
        if p.idle() is not None:
            idle, low, high = p.idle()
            assert model.idle_mw == pytest.approx(idle, abs=0.05, rel=0.005)
            said = re.search(r"between ([\d.]+) and ([\d.]+) mW", model.idle_source)
            assert [float(n) for n in said.groups()] == pytest.approx([low, high], abs=0.06)
    assert len(taken) == 5
