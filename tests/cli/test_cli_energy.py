# SPDX-License-Identifier: Apache-2.0
"""Energies and batteries at the command line: what profile tells, and what is refused at once."""

from __future__ import annotations

import pytest
from tiny_model import only_json

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


@pytest.fixture(scope="module")
def powered(cli, model, tmp_path_factory):
    """The model compiled for a board with two supply configurations; not to be changed."""
    folder = tmp_path_factory.mktemp("powered") / "project"
    result = cli("compile", model, "--target", "nucleo-l4r5zi", "-o", folder, "--name", "tiny")
    assert result.exit_code == 0, result.stderr
    return folder


def test_an_energy_stands_beside_the_latency_and_follows_the_supply(cli, powered):
    compiled = only_json(cli("report", powered, "--json").stdout)
    assert compiled["energy_uj"] == pytest.approx(41.6 * compiled["latency_ms"])
    other = only_json(cli("profile", powered, "--supply", "smps", "--json").stdout)
    assert other["energy_uj"] == pytest.approx(33.4 * other["latency_ms"])
    assert other["energy"]["text"].startswith("modelled: the modelled latency at 33.4 mW (3.0 V")
    assert "MLPerf Tiny v1.3" in other["energy"]["source"]
    shown = cli("profile", powered).stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("energy (modelled")]
    told = f"energy (modelled, supply ldo) {compiled['energy_uj']:.1f} uJ"
    assert " ".join(line.split()) == told


def test_a_board_without_a_power_says_that_it_is_unknown(cli, project):
    manifest = only_json(cli("report", project, "--json").stdout)
    assert manifest["energy_uj"] is None
    assert "unknown: no power of this board is published" in cli("report", project).stdout


def test_a_period_and_a_battery_become_a_mean_power_and_a_life(cli, powered):
    words = ("--supply", "smps", "--period", "10s", "--battery", "1Ah@3.7V", "--idle", "20uW")
    values = only_json(cli("profile", powered, *words, "--json").stdout)
    usage, rest = values["usage"], 1 - values["latency_ms"] / 10_000
    mean_mw = values["energy_uj"] / 10_000 + 0.02 * rest
    assert usage["mean_mw"] == pytest.approx(mean_mw)
    assert usage["battery_days"] == pytest.approx(3.7 * 1000 / mean_mw / 24)
    assert "a converter from 3.7 V to 3 V" in usage["not_included"]
    assert "power while it waits: as it was given" in usage["error"]
    shown = cli("profile", powered, *words[:4]).stdout
    assert "One inference every 10 s, modelled, supply smps" in shown
    assert "the rest, 15.8 mW" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--supply", "sun"), "nucleo-l4r5zi: there is no supply 'sun'; known: ldo, smps"),
        (("--period", "1s"), "nucleo-l4r5zi: its power while it waits is unknown for supply ldo"),
        (("--period", "1us", "--idle", "1uW"), "period 0.001 ms is shorter than an inference on"),
        (("--period", "1"), "period '1' has no unit; write it like 1s, 500ms, 10min or 1h"),
        (("--battery", "220mAh@3V"), "--battery needs --period"),
        (("--period", "1s", "--battery", "220mAh"), "battery '220mAh' has no voltage"),
    ],
    ids=str,
)
def test_what_cannot_be_told_is_refused(cli, powered, words, sentence):
    result = cli("profile", powered, *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("nucleo-f446re", "--energy", "5uJ"),
            "nucleo-f446re: no power of this board is published",
        ),
        (("nucleo-l4r5zi", "--energy", "5"), "energy '5' has no unit; write it like 500uJ"),
        (
            ("nucleo-l4r5zi", "--latency", "2s", "--period", "1s", "--idle", "1uW"),
            "--latency 2s is longer than --period, 1000 ms",
        ),
    ],
    ids=str,
)
def test_a_search_refuses_them_before_anything_else(cli, tmp_path, words, sentence):
    result = cli("search", "--data", "npz:none.npz", "-o", tmp_path / "run", "--target", *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
