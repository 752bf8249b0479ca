# SPDX-License-Identifier: Apache-2.0
"""A whole search on a small data set: what it leaves behind, interruption, and refusals."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from synthetic_table import write_rows

from tinytailor.cli.report import sections
from tinytailor.cli.search import exit_code, finish
from tinytailor.compiler import execute, load_model
from tinytailor.compiler.references import onnx_session
from tinytailor.latency_tables import LatencyTable
from tinytailor.nas.data import load
from tinytailor.nas.run import SearchResult, search
from tinytailor.nas.search.history import run_history
from tinytailor.nas.settings import SearchSettings
from tinytailor.nas.spaces import Architecture, build_space
from tinytailor.targets import Battery, Board, Usage, load_target

# one process, so that it is searched once
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.torch,
    pytest.mark.tvm,
    pytest.mark.xdist_group("run"),
]

FILES = {
    "architecture.json",
    "float.pt",
    "history.json",
    "model.onnx",
    "prepared.json",
    "quantized.pt",
    "result.json",
    "settings.json",
    "study.journal",
    "test.npz",
    "trials",
}


def test_the_run_folder_holds_exactly_what_is_promised(
    base: SearchSettings, whole: SearchResult
) -> None:
    assert {path.name for path in Path(base.run).iterdir()} == FILES
    assert SearchResult(**json.loads((Path(base.run) / "result.json").read_text())) == whole
    assert set(whole.seconds) == {"prepare", "search", "train", "export"}
    assert len(whole.trials) == 2


def test_the_found_network_is_within_the_budget_and_better_than_chance(
    base: SearchSettings, whole: SearchResult
) -> None:
    (target,) = whole.targets
    assert target["predicted"]["latency_ms"] <= 0.5
    assert target["budget"]["energy_uj"] == 20
    assert target["predicted"]["ram_bytes"] <= 8 * 1024
    assert target["predicted"]["flash_bytes"] <= 24 * 1024
    assert whole.quantized_accuracy >= 0.75
    network = Architecture.from_json(whole.architecture)
    build_space("micronas", 20, 2, 2).topology(network)


def test_the_result_tells_how_the_search_went(base: SearchSettings, whole: SearchResult) -> None:
    history = whole.history
    chosen = whole.trials[history["chosen"]]
    assert chosen["architecture"] == whole.architecture
    assert chosen["costs"][0]["latency_ms"] == pytest.approx(
        whole.targets[0]["predicted"]["latency_ms"]
    )
    assert len(history["float_loss"]) == base.epochs
    assert len(history["quantized_loss"]) == base.quantized_epochs
    assert len(history["valid_accuracy"]) == base.search_epochs
    (expected,) = history["expected"]
    assert {name: len(values) for name, values in expected.items()} == dict.fromkeys(
        ("latency_ms", "ram_bytes", "flash_bytes"), base.search_epochs
    )


def test_an_algorithm_without_epochs_has_only_the_history_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    trial = {"history": [{"samples": 3, "least_excess": 0.0}]}
    (tmp_path / "trials" / "002.json").write_text(json.dumps(trial))
    losses = {"float_loss": [1 / 3], "quantized_loss": [0.25]}
    (tmp_path / "history.json").write_text(json.dumps(losses))
    expected = {"chosen": 2, "float_loss": [0.333333], "quantized_loss": [0.25]}
    assert run_history(tmp_path, 2) == expected


def test_the_compiler_reads_the_model_and_computes_the_recorded_outputs(
    whole: SearchResult,
) -> None:
    test = np.load(Path(whole.run) / "test.npz")
    (logits,) = execute(load_model(whole.model), test["input"])
    np.testing.assert_array_equal(logits, test["output"])
    accuracy = float((logits.argmax(1) == test["class"]).mean())
    assert accuracy == pytest.approx(whole.quantized_accuracy)


def test_onnxruntime_reads_the_numbers_of_the_data_and_quantizes_them_alike(
    base: SearchSettings, whole: SearchResult
) -> None:
    """The model file standardises: to the last bit as training and the device do."""
    model = onnx.load(whole.model)
    entering = onnx.helper.make_tensor_value_info("input_q", onnx.TensorProto.INT8, None)
    model.graph.output.append(entering)
    session, recorded = onnx_session(model), np.load(Path(whole.run) / "test.npz")
    raw = load(base.data, base.seed).x_test.astype(np.float32)
    found = [session.run(["input_q"], {"input": x[None, None]})[0] for x in raw]
    q = np.concatenate(found).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(q, recorded["input"])
    assert len(np.unique(q)) > 50


def test_the_result_becomes_a_project_that_computes_the_same_on_host_and_emulated_board(
    base: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(base.run, folder)
    moved = dataclasses.replace(whole, model=str(folder / "model.onnx"))
    usage = Usage(period_ms=1000, battery=Battery(220, 3))
    report = finish(dataclasses.replace(base, run=str(folder)), moved, "waves", [usage])
    (target,) = report["targets"]
    assert [check["on"] for check in target["verification"]] == ["host", "emulator"]
    for check in target["verification"]:
        assert check["bit_exact"]
        assert check["scores"] == report["scores"] == whole.scores
        assert check["accuracy"] == whole.quantized_accuracy == whole.scores["accuracy"]
    assert report["float_scores"]["accuracy"] == whole.float_accuracy
    assert target["profile"]["arena_bytes"] == target["predicted"]["arena_bytes"]
    energies_are_told(report)


def energies_are_told(report: dict[str, Any]) -> None:
    (target,) = report["targets"]
    predicted, profile = target["predicted"], target["profile"]
    for cost in (predicted, profile):
        assert cost["energy_uj"] == pytest.approx(40 * cost["latency_ms"])
    mean_mw = 2 + profile["energy_uj"] / 1000 - 2 * profile["latency_ms"] / 1000
    assert profile["usage"]["mean_mw"] == pytest.approx(mean_mw)
    assert profile["usage"]["battery_days"] == pytest.approx(2376 / mean_mw * 1e3 / 86400)
    for limit, verdict, code in ((1e3, "ok", 0), (profile["energy_uj"] / 2, "OVER", 3)):
        target["budget"] = {"latency_ms": None, "energy_uj": limit}
        rows = {row[0]: row for part in sections(report) for row in part.rows}
        assert rows["energy (modelled, uncalibrated, supply usb)"][-1] == verdict
        assert rows["battery life"][1].endswith("from 220 mAh at 3 V")
        assert exit_code(report) == code


def test_the_random_baseline_finds_one_network_for_two_cores_and_a_project_for_each(
    base: SearchSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards = [load_target(name) for name in ("nucleo-f446re", "nucleo-g0b1re")]
    assert isinstance(boards[1], Board)
    table, folder = tmp_path / "base.jsonl", tmp_path / "run"
    keys = (dataclasses.replace(key, isa="base") for key in LatencyTable.load(base.tables[0]))
    write_rows(table, keys, boards[1])
    chosen = {"algorithm": "random", "metric": "macro-f1", "class_weights": "balanced"}
    settings = dataclasses.replace(
        base,
        **chosen,
        targets=tuple(board.name for board in boards),
        tables=(*base.tables, str(table)),
        run=str(folder),
        **{"trials": 1, "epochs": 6, "quantized_epochs": 2},
        **{"latency_ms": None, "ram_bytes": None, "energy_uj": None},
    )
    result = search(settings)
    report = finish(settings, result, "waves")
    assert exit_code(report) == 0
    for board, target in zip(boards, report["targets"], strict=True):
        assert target["name"] == board.name
        assert target["project"] == str(folder / f"project-{board.name}")
        assert target["budget"]["ram_bytes"] == board.ram.bytes
        assert target["budget"]["flash_bytes"] == 24 * 1024 >= target["profile"]["flash_bytes"]
        assert target["predicted"]["arena_bytes"] == target["profile"]["arena_bytes"]
        for check in target["verification"]:
            assert check["bit_exact"]
            assert check["accuracy"] == pytest.approx(result.quantized_accuracy)
        for title in (f"## Cost on {board.name}", f"## Layers for {board.name}"):
            assert title in (folder / "report.md").read_text()
    assert result.balance["weights"] == [1.0, 1.0]  # as many of either class
    assert result.trials[0]["valid_scores"].keys() >= {"accuracy", "macro_f1"}
    report["targets"][1]["budget"]["latency_ms"] = 1e-6
    assert exit_code(report) == 3
    told = "the project for nucleo-g0b1re is over the budget in latency_ms"
    assert told in capsys.readouterr().err
