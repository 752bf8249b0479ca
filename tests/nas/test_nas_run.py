# SPDX-License-Identifier: Apache-2.0
"""A whole search on a small data set: what it leaves behind, interruption, and refusals."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from synthetic_table import write_rows, write_table
from tiers import nightly_but

from tinytailor.cli.report import sections
from tinytailor.cli.search import exit_code, finish
from tinytailor.compiler import execute, load_model
from tinytailor.compiler.references import onnx_session
from tinytailor.latency_tables import LatencyTable
from tinytailor.nas.data import load
from tinytailor.nas.data.dataset import Raw, prepare
from tinytailor.nas.prepare import doubt_balance, fingerprint, prepared_before
from tinytailor.nas.progress import Progress
from tinytailor.nas.run import SearchResult, kept, search
from tinytailor.nas.search.history import run_history
from tinytailor.nas.settings import SearchSettings, open_run
from tinytailor.nas.spaces import Architecture, build_space
from tinytailor.targets import Battery, Board, Usage, load_target
from tinytailor.targets.errors import BudgetError, Doubt, InputError

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
ENERGY = """
[energy.usb]
supply = "3.3 V"
volts = 3.3
active_mw = 40
idle_mw = 2
idle_source = "a guess"
source = "a guess"
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    """Settings for two frequencies in noise, 20 samples of 2 sensors, with a synthetic table."""
    folder = tmp_path_factory.mktemp("search")
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    time = np.arange(20)[None, :, None] / 20
    x = np.sin(6.28 * ((2 + 3 * y[:, None, None]) * time + rng.uniform(size=(40, 1, 2))))
    np.savez(folder / "waves.npz", x=x + 0.1 * rng.normal(size=x.shape), y=y)
    board = load_target("nucleo-f446re")
    assert isinstance(board, Board)
    (folder / "board.toml").write_text(board.definition + ENERGY)
    write_table(folder / "table.jsonl", build_space("micronas", 20, 2, 2), board)
    return SearchSettings(
        data=f"npz:{folder / 'waves.npz'}",
        targets=(str(folder / "board.toml"),),
        tables=(str(folder / "table.jsonl"),),
        run=str(folder / "whole"),
        latency_ms=2.0,
        energy_uj=20,  # 0.5 ms at 40 mW
        ram_bytes=8 * 1024,
        flash_bytes=24 * 1024,
        trials=2,
        search_epochs=4,
        trial_epochs=3,
        epochs=30,
        quantized_epochs=6,
        batch=16,
    )


@pytest.fixture(scope="module")
def whole(base: SearchSettings) -> SearchResult:
    return search(base)


def without_times(folder: str) -> dict[str, object]:
    values = json.loads((Path(folder) / "result.json").read_text())
    return {k: v for k, v in values.items() if k not in ("seconds", "run", "model")}


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


def test_running_again_returns_the_recorded_result(
    base: SearchSettings, whole: SearchResult
) -> None:
    stages: list[str] = []
    assert search(base, on_progress=lambda step: stages.append(step.stage)) == whole
    assert stages == []


def test_other_settings_are_refused_and_named(base: SearchSettings, whole: SearchResult) -> None:
    with pytest.raises(InputError, match="other settings: seed 0, now 1; choose another folder"):
        search(dataclasses.replace(base, seed=1))
    assert search(dataclasses.replace(base, threads=2)) == whole


def test_what_was_prepared_is_used_again_for_the_same_tables_and_data_only(
    base: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    """Another table is another fingerprint; other data under the same name are refused."""
    dataset = load(base.data, base.seed)
    space = build_space("micronas", 20, 2, 2)
    mark = fingerprint(base, dataset, space)
    assert prepared_before(Path(base.run), dataset)["fingerprint"] == mark
    table = tmp_path / "table.jsonl"
    table.write_bytes(Path(base.tables[0]).read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    assert fingerprint(dataclasses.replace(base, tables=(str(table),)), dataset, space) != mark
    assert fingerprint(dataclasses.replace(base, epochs=31), dataset, space) == mark
    changed = dataclasses.replace(dataset, digest="0" * 16)
    with pytest.raises(InputError, match="waves has changed since; choose another folder"):
        prepared_before(Path(base.run), changed)


def test_a_run_from_before_there_were_metrics_goes_on_without_training_again(
    base: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(base.run, folder)
    for name, new in (
        ("settings.json", {"metric", "class_weights"}),
        ("result.json", {"scores", "float_scores", "balance"}),
    ):
        values = json.loads((folder / name).read_text())
        assert values.keys() >= new
        (folder / name).write_text(json.dumps({k: v for k, v in values.items() if k not in new}))
    journal = (folder / "study.journal").read_text().splitlines(keepends=True)
    (folder / "study.journal").write_text("".join(x for x in journal if "valid_scores" not in x))
    stages: set[str] = set()
    found = search(
        dataclasses.replace(base, run=str(folder)),
        on_progress=lambda step: stages.add(step.stage),
    )
    assert stages == {"data", "tables"}
    assert found.scores == whole.scores
    assert found.architecture == whole.architecture
    assert (folder / "model.onnx").read_bytes() == Path(whole.model).read_bytes()
    with pytest.raises(InputError, match="other settings: metric 'accuracy', now 'macro-f1'"):
        open_run(folder, dataclasses.replace(base, metric="macro-f1"))


def test_unbalanced_classes_are_doubted_unless_something_was_chosen_for_them(
    base: SearchSettings, recwarn: pytest.WarningsRecorder
) -> None:
    x, y = np.arange(80.0).reshape(20, 4, 1), np.repeat([0, 1], [16, 4])
    dataset = prepare(Raw("d", "d", x, y, x, y, class_names=("walk", "fall")), 0, 0.25)
    sentence = "largest class 'walk' 80.0 %, .* always says 'walk' scores 80.0 % .*--metric"
    with pytest.warns(Doubt, match=sentence):
        doubt_balance(base, dataset)
    doubt_balance(dataclasses.replace(base, metric="macro-f1"), dataset)
    doubt_balance(dataclasses.replace(base, class_weights="balanced"), dataset)
    assert not recwarn.list


STAGES = ("trial 2/2: short training", "train", "quantize")


@pytest.mark.parametrize("stage", nightly_but(("train",), STAGES))
def test_an_interrupted_run_continues_to_the_result_of_an_uninterrupted_one(
    base: SearchSettings, whole: SearchResult, stage: str, tmp_path: Path
) -> None:
    settings = dataclasses.replace(base, run=str(tmp_path / "run"))

    def interrupt(step: Progress) -> None:
        if step.stage == stage and step.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(settings, on_progress=interrupt)
    assert not (tmp_path / "run" / "result.json").exists()
    if stage == "train":
        assert kept(settings).endswith("begins anew), 3 of 30 epochs of the final training")
        assert kept(settings).startswith("2 of 2 trials")
    stages: set[str] = set()
    search(settings, on_progress=lambda step: stages.add(step.stage))
    assert not any(name.startswith("costs") for name in stages), "they are in prepared.json"
    assert without_times(settings.run) == without_times(base.run)
    assert (tmp_path / "run" / "model.onnx").read_bytes() == Path(whole.model).read_bytes()
    if stage in ("train", "quantize"):
        assert not any(name.startswith("trial") for name in stages)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


SEARCHING = """
import json, sys
from tinytailor.nas.run import SearchSettings, search

def report(step):
    print(step.stage, flush=True)
    if step.stage == sys.argv[2]:
        sys.stdin.readline()

search(SearchSettings(**json.loads(sys.argv[1])), on_progress=report)
"""


@contextmanager
def searching(settings: SearchSettings, stage: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of ``stage``, which goes on when it is sent a line."""
    words = [sys.executable, "-c", SEARCHING, json.dumps(dataclasses.asdict(settings)), stage]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == stage:
                break
        yield process
        process.kill()


def test_a_second_process_is_refused_and_a_killed_one_blocks_nobody(
    base: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    """The refused one changes nothing, the trial of the killed one takes no part."""
    settings = dataclasses.replace(base, run=str(tmp_path / "run"))
    with searching(settings, "trial 2/2: search") as first:
        before = contents(tmp_path)
        with searching(settings, "none") as second:
            _, complaint = second.communicate()
        assert f"process {first.pid} on " in complaint
        assert f"is writing {tmp_path / 'run'}; wait for it to finish" in complaint
        assert contents(tmp_path) == before
        first.send_signal(signal.SIGKILL)
        first.wait()
        search(settings)
    assert without_times(settings.run) == without_times(base.run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_impossible_budget_ends_before_anything_is_written(
    base: SearchSettings, tmp_path: Path
) -> None:
    settings = dataclasses.replace(base, run=str(tmp_path / "run"), latency_ms=0.001)
    with pytest.raises(BudgetError, match="smallest achievable"):
        search(settings)
    assert not (tmp_path / "run").exists()


def test_a_table_without_the_rows_names_the_command_that_measures_them(
    base: SearchSettings, tmp_path: Path
) -> None:
    lines = Path(base.tables[0]).read_bytes().splitlines(keepends=True)
    (tmp_path / "short.jsonl").write_bytes(b"".join(lines[:-5]))
    settings = dataclasses.replace(
        base, run=str(tmp_path / "run"), tables=(str(tmp_path / "short.jsonl"),)
    )
    with pytest.raises(InputError, match=r"lacks 5 of the .* tinytailor measure --target"):
        search(settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"algorithm": "magic"}, "no algorithm is called 'magic'; known: dnas, random"),
        ({"quantizer": "int3"}, "no quantizer is called 'int3'; did you mean int8"),
        ({"tables": ()}, "1 targets and 0 tables: expected one table for each target"),
        (
            {"metric": "f1"},
            "no metric is called 'f1'; known: accuracy, balanced-accuracy, macro-f1",
        ),
        (
            {"class_weights": "equal"},
            "no kind of class weights is called 'equal'; known: none, balanced, effective",
        ),
        ({"trials": 0}, "trials must be 1 or more, got 0"),
        ({"search_epochs": 3}, "search_epochs must be 4 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"targets": ("nucleo-f446re",)}, "nucleo-f446re: no power of this board is published"),
        ({"supply": "sun"}, "nucleo-f446re: there is no supply 'sun'"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_in_one_sentence(
    base: SearchSettings, change: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        search(dataclasses.replace(base, run=str(tmp_path / "run"), **change))


def test_a_folder_of_something_else_is_left_alone(base: SearchSettings, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a RUN folder"):
        search(dataclasses.replace(base, run=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


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
