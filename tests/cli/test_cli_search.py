# SPDX-License-Identifier: Apache-2.0
"""The main job end to end, small: measure, search, compile, verify, profile, report.

On images of 8 x 8 pixels, whose space has the fewest operators to measure. A search on series ends
in a project in tests/nas/test_nas_run.py.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import only_json

import tinytailor.latency_tables
from tinytailor.cli.report import sections
from tinytailor.nas.spaces import build_space

# one process, so that it is searched once
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.qemu,
    pytest.mark.torch,
    pytest.mark.tvm,
    pytest.mark.xdist_group("cli-search"),
]

TABLES = Path(tinytailor.latency_tables.__file__).parent / "tables"
BUDGET = {"latency_ms": 2.0, "ram_bytes": 8192, "flash_bytes": 16384}
EFFORT = (
    *("--supernet-epochs", 4, "--evaluations", 10, "--finalists", 1),
    *("--epochs", 30, "--quantized-epochs", 2, "--seed", 3),
)


@dataclass(frozen=True)
class Found:
    folder: Path
    words: tuple[Any, ...]
    report: dict[str, Any]

    @property
    def target(self) -> dict[str, Any]:
        """What the report says of its only target."""
        (target,) = self.report["targets"]
        return target


def bars(path: Path) -> Path:
    """Grey images with noise and one bright line, which stands (1) or lies (0)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 96)
    x = rng.normal(90, 25, (96, 8, 8, 1))
    for image, standing, at in zip(x, y, rng.integers(0, 8, 96), strict=True):
        image[(slice(None), at) if standing else at] += 120
    names = np.array(["lying", "standing"])[y]
    np.savez(path, x=x.clip(0, 255).astype(np.uint8), y=names, subject=np.arange(96) // 12)
    return path


@pytest.fixture(scope="module")
def found(cli, tmp_path_factory) -> Found:
    folder = tmp_path_factory.mktemp("search")
    data = ("--space", "image", "--data", f"npz:{bars(folder / 'bars.npz')}")
    target = ("--target", "nucleo-f446re", *data)
    table = folder / "tables" / "t.jsonl"
    measured = cli("measure", *target, "--out", table, "--workers", 2, "--json")
    assert measured.exit_code == 0, measured.stderr
    operators = len(build_space("image", 8, 8, 1, 2).keys("dsp"))
    assert only_json(measured.stdout)["rows"] == only_json(measured.stdout)["needed"] == operators
    words = (*target, "--table", table, "--latency", "2ms", "--ram", "8KiB", "--flash", "16KiB")
    words = ("search", *words, *EFFORT, "-o", folder / "run", "--json")
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    return Found(folder, words, only_json(result.stdout))


def test_the_accuracy_is_one_number_on_paper_on_the_host_and_on_the_emulated_board(found):
    integer = found.report["accuracy"]["integer"]
    assert integer > 0.8
    assert [check["on"] for check in found.target["verification"]] == ["host", "emulator"]
    for check in found.target["verification"]:
        assert check["bit_exact"]
        assert check["accuracy"] == integer
        assert check["scores"] == found.report["scores"]
        assert check["expected"]["differing_elements"] == 0


def test_the_emitted_project_keeps_the_budget_and_the_prediction(found):
    predicted, profile = found.target["predicted"], found.target["profile"]
    assert found.target["budget"] == {**BUDGET, "energy_uj": None}
    assert all(profile[key] <= limit for key, limit in BUDGET.items())
    assert predicted["arena_bytes"] == profile["arena_bytes"]
    assert predicted["latency_ms"] == pytest.approx(profile["latency_ms"], rel=0.05)
    assert predicted["flash_bytes"] == pytest.approx(profile["flash_bytes"], rel=0.05)
    assert predicted["ram_bytes"] == pytest.approx(profile["ram_bytes"], abs=64)


def test_the_report_can_be_printed_again_from_its_files(cli, found):
    run = found.folder / "run"
    assert only_json(cli("report", run, "--json").stdout) == found.report
    shown, written = cli("report", run).stdout, (run / "report.md").read_text()
    for text in (shown, written):
        assert f"{found.target['profile']['arena_bytes']} B" in text
        assert f"{found.target['profile']['latency_ms']:.3f} ms" in text
        assert f"{100 * found.report['accuracy']['integer']:.2f} %" in text
        assert "emulated" in text
        for words in ("balanced accuracy", "macro-F1", "precision", "Confusion", "always '"):
            assert words in text
        assert "accuracy on held-out training data of each fold" in text
        assert "by subject" in found.report["protocol"]
        assert found.report["protocol"] in text


def test_the_page_of_a_search_can_be_made_again_from_its_files(cli, found, tmp_path):
    written = (found.folder / "run" / "report.html").read_text()
    assert f"{found.target['profile']['latency_ms']:.3f} ms" in written
    for part in ("cost", "layers", "arena", "front", "trials", "training", "preprocessing"):
        assert f'<section id="{part}">' in written
    assert "Nothing was measured on a real nucleo-f446re" in written
    result = cli("report", found.folder / "run", "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "page.html").read_text() == written


def test_a_report_on_guessed_constants_says_so(found):
    profile = found.target["profile"]
    provenance = {**profile["provenance"], "board_calibrated": False}
    target = {**found.target, "profile": {**profile, "provenance": provenance}}
    guessed = {**found.report, "targets": [target]}
    for report, expected in ((found.report, 0), (guessed, 1)):
        titles = [row[0] for section in sections(report) for row in section.rows]
        assert sum("uncalibrated" in title for title in titles) == expected


def test_the_users_own_file_gives_the_accuracy_of_the_search(cli, found):
    """Pixels and labels as they are: standardised, quantized and split as in training."""
    words = ("verify", found.folder / "run" / "project", "--on", "host", "--json", "--inputs")
    checked = only_json(cli(*words, found.folder / "bars.npz").stdout)
    assert checked["bit_exact"]
    assert checked["accuracy"] == found.report["accuracy"]["integer"]
    assert checked["samples"] == found.target["verification"][0]["samples"] == 24
    assert (checked["part"], checked["warnings"]) == ("the test part", [])
    whole = only_json(cli(*words, found.folder / "bars.npz", "--part", "all").stdout)
    assert (whole["samples"], whole["part"]) == (96, "all parts")


def test_a_file_of_other_units_or_classes_is_told_apart_from_that_of_the_training(cli, found):
    words = ("verify", found.folder / "run" / "project", "--on", "host", "--inputs")
    arrays = dict(np.load(found.folder / "bars.npz"))
    other = found.folder / "other.npz"
    np.savez(other, **{**arrays, "x": arrays["x"] / np.float32(255)})
    checked = only_json(cli(*words, other, "--json").stdout)
    assert (checked["samples"], checked["part"]) == (96, "")
    assert "not standardised yet" in checked["warnings"][-1]
    refused = cli(*words, other, "--part", "test")
    assert refused.exit_code == 2
    assert "is not the file that the network was trained on" in " ".join(refused.stderr.split())
    np.savez(other, **{**arrays, "y": np.where(arrays["y"] == "lying", "flying", arrays["y"])})
    refused = cli(*words, other)
    assert refused.exit_code == 2
    assert "'flying'; the classes of the model are lying, standing" in refused.stderr


def test_the_project_of_a_search_is_an_ordinary_project(cli, found):
    run = found.folder / "run"
    words = ("verify", run / "project", "--inputs", run / "test.npz", "--input-name", "input")
    checked = only_json(cli(*words, "--expect", "output", "--json").stdout)
    assert checked["accuracy"] == found.report["accuracy"]["integer"]
    assert (run / "project" / "Makefile").exists()


def test_the_same_command_again_returns_the_same_result(cli, found):
    before = (found.folder / "run" / "model.onnx").read_bytes()
    again = cli(*found.words)
    assert only_json(again.stdout) == found.report
    assert "holds this search, done; its report again" in again.stderr
    assert "running" not in again.stderr, "nothing is compiled or run a second time"
    assert (found.folder / "run" / "model.onnx").read_bytes() == before


def test_a_run_on_data_that_changed_is_no_longer_the_same_search(cli, found):
    path = found.folder / "bars.npz"
    before = path.read_bytes()
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "subject": arrays["subject"][::-1]})
    try:
        result = cli(*found.words)
    finally:
        path.write_bytes(before)
    assert result.exit_code == 2
    assert "bars has changed since; choose another folder" in " ".join(result.stderr.split())


def test_other_settings_do_not_overwrite_a_run(cli, found):
    words = [4 if word == 3 else word for word in found.words]
    result = cli(*words)
    assert result.exit_code == 2
    assert "other settings" in result.stderr


def test_a_budget_that_nothing_fits_is_told_before_training(cli, found, tmp_path):
    swap = {"2ms": "1us", found.folder / "run": tmp_path / "run"}
    result = cli(*(swap.get(word, word) for word in found.words))
    assert result.exit_code == 3, result.stderr
    assert "Traceback" not in result.stderr
    assert json.loads(result.stdout)["exit_code"] == 3
    assert not (tmp_path / "run").exists()


@pytest.mark.qemu
def test_a_search_for_a_board_that_only_qemu_has_runs_to_the_end(cli, tmp_path):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    data = ("--space", "image", "--data", f"npz:{bars(tmp_path / 'bars.npz')}")
    table = ("--table", TABLES / "cortex-m55" / "image-32x32x3x10.jsonl", "--allow-estimates")
    effort = ("--supernet-epochs", 2, "--evaluations", 6, "--finalists", 1, "--epochs", 12)
    words = ("--target", "mps3-an547", *data, *table, *effort, "--quantized-epochs", 2, "--seed", 3)
    result = cli("search", *words, "-o", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.stderr
    report = only_json(result.stdout)
    (target,) = report["targets"]
    assert [check["on"] for check in target["verification"]] == ["host", "qemu"]
    for check in target["verification"]:
        assert check["bit_exact"]
        assert check["accuracy"] == report["accuracy"]["integer"]
    assert target["profile"]["provenance"]["runner"] == "qemu"
    assert target["predicted"]["arena_bytes"] == target["profile"]["arena_bytes"]
    assert "running 24 inputs (array input) on qemu" in result.stderr
    for text in (cli("report", tmp_path / "run").stdout, (tmp_path / "run/report.md").read_text()):
        assert "emitted C, mps3-an547 in QEMU" in text
        assert "latency (in QEMU, modelled" in text
        assert "counted exactly by QEMU" in text
        assert "emulated mps3" not in text


def test_further_budgets_are_swept_from_the_same_shared_networks(cli, found):
    """Last in this file, as it adds to the report."""
    result = cli(*found.words, "--budget-sweep", "1.5ms")
    assert result.exit_code == 0, result.stderr
    report = only_json(result.stdout)
    first, second = report["sweep"]
    assert (first["budget"]["latency_ms"], second["budget"]["latency_ms"]) == (2.0, 1.5)
    assert second["latency_ms"] <= 1.5
    swept = found.folder / "run" / "sweep" / "1.5ms"
    assert not (swept / "supernet").exists(), "they are those of the first"
    assert (swept / "project" / "model.c").exists()
    assert "Budgets from the same shared networks" in cli("report", found.folder / "run").stdout
    refused = cli(*found.words, "--budget-sweep", "1.5")
    assert refused.exit_code == 2
