# SPDX-License-Identifier: Apache-2.0
"""A whole search with shared networks on a small data set: outcome, interruption, other budgets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_table import write_table
from tiers import nightly_but

from tinytailor.cli.report import sections
from tinytailor.cli.search import exit_code, finish
from tinytailor.compiler import execute, load_model
from tinytailor.nas.progress import Progress
from tinytailor.nas.run import SearchResult, kept, search
from tinytailor.nas.settings import SearchSettings
from tinytailor.nas.spaces import build_space
from tinytailor.targets import Board, load_target
from tinytailor.targets.errors import BudgetError, InputError

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.torch,
    pytest.mark.tvm,
    pytest.mark.xdist_group("supernet"),
]

SHAPE = (32, 2, 2)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    """Two frequencies in noise, of four people."""
    folder = tmp_path_factory.mktemp("supernet")
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    time = np.arange(32)[None, :, None] / 32
    x = np.sin(6.28 * ((2 + 3 * y[:, None, None]) * time + rng.uniform(size=(80, 1, 2))))
    x = x + 0.1 * rng.normal(size=x.shape)
    np.savez(folder / "waves.npz", x=x, y=y, subject=np.arange(80) // 2 % 4)
    board = load_target("nucleo-f446re")
    assert isinstance(board, Board)
    write_table(folder / "table.jsonl", build_space("series", *SHAPE), board)
    return SearchSettings(
        data=f"npz:{folder / 'waves.npz'}",
        targets=("nucleo-f446re",),
        tables=(str(folder / "table.jsonl"),),
        run=str(folder / "whole"),
        latency_ms=1.5,
        folds=2,
        supernet_epochs=4,
        evaluations=12,
        finalists=2,
        epochs=6,
        quantized_epochs=1,
    )


@pytest.fixture(scope="module")
def whole(settings: SearchSettings) -> SearchResult:
    return search(settings)


def outcome(folder: str) -> dict[str, Any]:
    """result.json without what differs between equal runs."""
    values = json.loads((Path(folder) / "result.json").read_text())
    return {k: v for k, v in values.items() if k not in ("seconds", "run", "model")}


def test_the_network_fits_and_its_way_is_told(
    settings: SearchSettings, whole: SearchResult
) -> None:
    (target,) = whole.targets
    assert target["predicted"]["latency_ms"] <= 1.5
    assert whole.effort == {
        "folds": 2,
        "supernet_epochs": 4,
        "evaluations": 12,
        "finalists": 2,
        "epochs": 6,
    }
    assert len(whole.trials) == 2
    assert whole.trials[0]["architecture"] == whole.architecture
    assert whole.trials[0]["valid_loss"] <= 2 * whole.trials[1]["valid_loss"]
    (chosen,) = [one for one in whole.front if one["chosen"]]
    assert chosen["architecture"] == whole.architecture
    lines = (Path(settings.run) / "candidates.jsonl").read_text().splitlines()
    assert 10 <= len(lines) <= 12
    assert whole.recipe["name"] == "series"
    assert whole.use["share"] <= 1
    assert whole.use["reason"] or whole.use["share"] >= 0.9
    assert "subject" in whole.protocol


def test_the_samples_of_the_data_enter_as_int16_and_the_project_computes_the_same(
    settings: SearchSettings, whole: SearchResult
) -> None:
    test = np.load(Path(whole.run) / "test.npz")
    assert test["input"].dtype == np.int16
    (logits,) = execute(load_model(whole.model), test["input"])
    np.testing.assert_array_equal(logits, test["output"])
    report = finish(settings, whole, "waves")
    (target,) = report["targets"]
    assert [check["on"] for check in target["verification"]] == ["host", "emulator"]
    assert all(check["bit_exact"] for check in target["verification"])
    assert exit_code(report) == 0
    titles = [part.title for part in sections(report)]
    assert any(title.startswith("Front on nucleo-f446re") for title in titles)


@pytest.mark.parametrize(
    "stage", nightly_but(("shared networks, fold 2 of 2",), ("finalist 2 of 2, fold 1 of 2",))
)
def test_an_interrupted_run_ends_as_one_that_was_not(
    settings: SearchSettings, whole: SearchResult, stage: str, tmp_path: Path
) -> None:
    mine = replace(settings, run=str(tmp_path / "run"))

    def interrupt(step: Progress) -> None:
        if step.stage == stage and step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(mine, on_progress=interrupt)
    assert "6 epochs of shared networks" in kept(mine) or "12 estimates" in kept(mine)
    search(mine)
    assert outcome(mine.run) == outcome(settings.run)
    theirs = Path(whole.model).read_bytes()
    assert (tmp_path / "run" / "model.onnx").read_bytes() == theirs


KILLED = """
import json, sys
from tinytailor.nas.settings import SearchSettings
from tinytailor.nas.run import search
search(SearchSettings(**json.loads(sys.argv[1])), on_progress=lambda step: print(step, flush=True))
"""


def test_a_killed_run_ends_as_one_that_was_not(
    settings: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    """Killed while networks are estimated."""
    mine = replace(settings, run=str(tmp_path / "run"))
    words = [sys.executable, "-c", KILLED, json.dumps(asdict(mine))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "networks estimated" in line and "done=5" in line:
                process.send_signal(signal.SIGKILL)
                break
    search(mine)
    assert outcome(mine.run) == outcome(settings.run)


def test_another_budget_uses_the_shared_networks_of_the_first(
    settings: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    stages: set[str] = set()
    mine = replace(
        settings,
        run=str(tmp_path / "run"),
        supernet=settings.run,
        folds=None,
        supernet_epochs=None,
        latency_ms=0.9,
    )
    result = search(mine, on_progress=lambda step: stages.add(step.stage))
    assert result.targets[0]["predicted"]["latency_ms"] <= 0.9
    assert result.effort["supernet_epochs"] == 4
    assert not any(stage.startswith("shared networks") for stage in stages)
    assert not (tmp_path / "run" / "supernet").exists()


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"latency_ms": 0.001}, BudgetError, "smallest achievable"),
        ({"time_s": 0.05}, InputError, "--time 0.05s is too short"),
        ({"time_s": -1.0}, InputError, "the time of a search must be above 0, got -1 s"),
        ({"supernet": "nowhere"}, InputError, "are those of nowhere, whose shared networks"),
        (
            {"supernet": "nowhere", "folds": None, "supernet_epochs": None},
            InputError,
            "nowhere holds no shared networks",
        ),
        ({"recipe": "magic"}, InputError, "no recipe is called 'magic'"),
        ({"folds": 9}, InputError, "9 folds"),
        ({"evaluations": 0}, InputError, "evaluations must be 1 or more, got 0"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_sentence(
    settings: SearchSettings, change: dict[str, Any], error: type, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        search(replace(settings, run=str(tmp_path / "run"), **change))
