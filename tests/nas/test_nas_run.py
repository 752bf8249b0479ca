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

import numpy as np
import pytest
from synthetic_table import write_table
from tiers import nightly_but

from tinytailor.cli.search import finish
from tinytailor.compiler import execute, load_model
from tinytailor.nas.run import Progress, SearchResult, SearchSettings, search
from tinytailor.nas.spaces import Architecture, build_space
from tinytailor.targets import Board, load_target
from tinytailor.targets.errors import BudgetError, InputError

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
    "quantized.pt",
    "result.json",
    "settings.json",
    "study.journal",
    "test.npz",
    "trials",
}


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
    write_table(folder / "table.jsonl", build_space("timeseries", 20, 2, 2), board)
    return SearchSettings(
        data=f"npz:{folder / 'waves.npz'}",
        target="nucleo-f446re",
        table=str(folder / "table.jsonl"),
        run=str(folder / "whole"),
        latency_ms=0.5,
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
    assert base.latency_ms is not None
    assert whole.cost["latency_ms"] <= base.latency_ms
    assert whole.cost["ram_bytes"] <= 8 * 1024
    assert whole.cost["flash_bytes"] <= 24 * 1024
    assert whole.quantized_accuracy >= 0.75
    network = Architecture.from_json(whole.architecture)
    build_space("timeseries", 20, 2, 2).topology(network)


def test_the_compiler_reads_the_model_and_computes_the_recorded_outputs(
    whole: SearchResult,
) -> None:
    test = np.load(Path(whole.run) / "test.npz")
    (logits,) = execute(load_model(whole.model), test["input"])
    np.testing.assert_array_equal(logits, test["output"])
    accuracy = float((logits.argmax(1) == test["label"]).mean())
    assert accuracy == pytest.approx(whole.quantized_accuracy)


def test_the_result_becomes_a_project_that_computes_the_same_on_host_and_emulated_board(
    base: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(base.run, folder)
    moved = dataclasses.replace(whole, model=str(folder / "model.onnx"))
    report = finish(dataclasses.replace(base, run=str(folder)), moved, "waves")
    assert [check["on"] for check in report["verification"]] == ["host", "emulator"]
    for check in report["verification"]:
        assert check["bit_exact"]
        assert check["accuracy"] == pytest.approx(whole.quantized_accuracy)
    assert report["profile"]["arena_bytes"] == whole.cost["arena_bytes"]


def test_running_again_returns_the_recorded_result(
    base: SearchSettings, whole: SearchResult
) -> None:
    stages: list[str] = []
    assert search(base, on_progress=lambda step: stages.append(step.stage)) == whole
    assert set(stages) == {"prepare"}


def test_other_settings_are_refused_and_named(base: SearchSettings, whole: SearchResult) -> None:
    with pytest.raises(InputError, match="other settings: seed 0, now 1; choose another folder"):
        search(dataclasses.replace(base, seed=1))
    assert search(dataclasses.replace(base, threads=2)) == whole


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
    stages: set[str] = set()
    search(settings, on_progress=lambda step: stages.add(step.stage))
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
    lines = Path(base.table).read_bytes().splitlines(keepends=True)
    (tmp_path / "short.jsonl").write_bytes(b"".join(lines[:-5]))
    settings = dataclasses.replace(
        base, run=str(tmp_path / "run"), table=str(tmp_path / "short.jsonl")
    )
    with pytest.raises(InputError, match=r"lacks 5 of the .* tinytailor measure --target"):
        search(settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"algorithm": "magic"}, "no algorithm is called 'magic'; known: dnas, random"),
        ({"quantizer": "int3"}, "no quantizer is called 'int3'; did you mean int8"),
        ({"trials": 0}, "trials must be 1 or more, got 0"),
        ({"search_epochs": 3}, "search_epochs must be 4 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_in_one_sentence(
    base: SearchSettings, change: dict[str, int], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        search(dataclasses.replace(base, run=str(tmp_path / "run"), **change))


def test_a_folder_of_something_else_is_left_alone(base: SearchSettings, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a RUN folder"):
        search(dataclasses.replace(base, run=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_random_baseline_runs_through_the_same_stages(
    base: SearchSettings, tmp_path: Path
) -> None:
    settings = dataclasses.replace(base, run=str(tmp_path / "run"), algorithm="random", trials=1)
    assert search(settings).cost["latency_ms"] <= 0.5
