# SPDX-License-Identifier: Apache-2.0
"""tinytailor measure: what is new, known and failed, before and after, for people and programs."""

from __future__ import annotations

import shutil

import pytest
from tiny_model import only_json

from tinytailor.cli import measure
from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.ops import AveragePool2d, Dense
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import LatencyTable

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

GOOD = tuple(make_key(Dense(n), ((1, 8),), "dsp") for n in (2, 3))
TOO_LARGE = make_key(AveragePool2d(Window((2, 2), (2, 2))), ((1, 1600, 1600, 1),), "dsp")
WORDS = ("measure", "--target", "nucleo-f446re", "--space", "micronas:9x9x9", "--out")


@pytest.fixture(scope="module")
def measured(cli, tmp_path_factory):
    """A run of which one operator fails: its path and its result."""
    path = tmp_path_factory.mktemp("measure") / "table.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "space_keys", lambda *_: (*GOOD, TOO_LARGE))
        return path, cli(*WORDS, path, "--json")


def test_what_failed_is_listed_with_exit_code_4_and_the_rest_is_in_the_table(measured):
    path, result = measured
    assert result.exit_code == 4
    values = only_json(result.stdout)
    counts = {name: values[name] for name in ("needed", "known", "new", "rows")}
    assert counts == {"needed": 3, "known": 0, "new": 2, "rows": 2}
    (failed,) = values["failed"]
    assert failed["key"] == TOO_LARGE.to_json()
    assert "RAM" in failed["message"]
    assert values["header"]["runner"] == "emulator"
    assert set(LatencyTable.load(path)) == set(GOOD)


def test_before_it_begins_it_says_how_many_are_new(cli, measured, monkeypatch):
    path, _ = measured
    monkeypatch.setattr(measure, "space_keys", lambda *_: GOOD)
    result = cli(*WORDS, path)
    assert result.exit_code == 0
    assert "2 of 2 operators are there, 0 are measured now" in result.stderr
    assert [line.split()[:4] for line in result.stdout.splitlines() if "dense" in line] == [
        ["dense", "2", "0", "0"]
    ]


@pytest.mark.qemu
def test_a_board_that_only_qemu_has_is_measured_there(cli, tmp_path, monkeypatch):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    key = make_key(Dense(2), ((1, 8),), "mve")
    monkeypatch.setattr(measure, "space_keys", lambda *_: (key,))
    path = tmp_path / "table.jsonl"
    words = ("measure", "--target", "mps3-an547", "--space", "micronas:9x9x9", "--out", path)
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    assert "1 are measured now on the cortex-m55 in QEMU" in result.stderr
    assert LatencyTable.load(path).header.runner == "qemu"


@pytest.mark.parametrize(
    ("options", "code", "fragment"),
    [
        (("--backend", "threads"), 2, "known: loky, dask, ray"),
        (("--on", "paper"), 2, "no runner is called 'paper'"),
        (("--on", "serial:x", "--workers", "2"), 2, "leave out --workers"),
    ],
)
def test_options_that_make_no_sense_write_nothing(
    cli, tmp_path, monkeypatch, options, code, fragment
):
    monkeypatch.setattr(measure, "space_keys", lambda *_: GOOD)
    result = cli(*WORDS, tmp_path / "table.jsonl", *options)
    assert result.exit_code == code
    assert fragment in result.stderr
    assert not (tmp_path / "table.jsonl").exists()
