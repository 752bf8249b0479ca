# SPDX-License-Identifier: Apache-2.0
"""A search that is run again: done, interrupted, killed, at work elsewhere; and refusals."""

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
import pytest
from tiers import nightly_but

from tinytailor.nas.data import load
from tinytailor.nas.data.dataset import Raw, prepare
from tinytailor.nas.prepare import doubt_balance, fingerprint, prepared_before
from tinytailor.nas.progress import Progress
from tinytailor.nas.run import SearchResult, kept, search
from tinytailor.nas.settings import SearchSettings, open_run
from tinytailor.nas.spaces import build_space
from tinytailor.targets.errors import BudgetError, Doubt, InputError

# one process, so that it is searched once
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.torch,
    pytest.mark.tvm,
    pytest.mark.xdist_group("run"),
]


def without_times(folder: str) -> dict[str, object]:
    values = json.loads((Path(folder) / "result.json").read_text())
    return {k: v for k, v in values.items() if k not in ("seconds", "run", "model")}


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
        assert kept(settings).endswith("begins anew), 3 epochs of the final training")
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
        ({"algorithm": "magic"}, "no algorithm is called 'magic'; known: supernet, dnas, random"),
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
