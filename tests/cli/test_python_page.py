# SPDX-License-Identifier: Apache-2.0
"""docs/python.md: its blocks run, and print what it says; and the search among them."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytailor as tt
import tinytailor.latency_tables
from tinytailor.cli import search
from tinytailor.cli.search_order import SearchOrder
from tinytailor.targets import cross_toolchain

# one process, so that it is searched once
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.torch,
    pytest.mark.tvm,
    pytest.mark.xdist_group("python-page"),
]

TABLE = "cortex-m4/image-32x32x3x10.jsonl"
COMPILER = "12.2.1"  # of the numbers on the page
NUMBER = re.compile(r"-?\d+\.?\d*")


def blocks(page: str) -> Iterator[tuple[str, list[str]]]:
    """Each block of a page, and the lines that it shows under it."""
    for part in page.split("```python\n")[1:]:
        code, _, rest = part.partition("```\n")
        shown = re.match(r"\n((?:    .*\n)+)", rest)
        yield code, [] if shown is None else [line.strip() for line in shown[1].splitlines()]


@dataclass(frozen=True)
class Ran:
    """What each block printed, beside what the page shows, and the names that they left."""

    pairs: list[tuple[list[str], list[str]]]
    names: dict[str, Any]


def run(page: str) -> Ran:
    pairs, names = [], {"__name__": "page"}
    for code, shown in blocks(page):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "page", "exec"), names)
        pairs.append(([line.strip() for line in out.getvalue().splitlines()], shown))
    return Ran(pairs, names)


@pytest.fixture(scope="module")
def ran(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "tables").mkdir()
    shipped = Path(tinytailor.latency_tables.__file__).parent / "tables" / TABLE
    shutil.copy(shipped, folder / "tables" / "cortex-m4-image.jsonl")
    with contextlib.chdir(folder):
        yield run((repository / "docs" / "python.md").read_text())


def assert_alike(printed: list[str], shown: list[str]) -> None:
    """Words are equal; numbers nearly, where the compiler is the one of the page: times and sizes
    change a little with it, and large integers by a step with the processor that calibrates."""
    assert [NUMBER.sub("#", line) for line in printed] == [NUMBER.sub("#", line) for line in shown]
    if COMPILER in cross_toolchain().version:
        numbers = [NUMBER.findall(" ".join(lines)) for lines in (printed, shown)]
        for found, expected in zip(*numbers, strict=True):
            step = 0.01 if "." in expected else 1.0 if len(expected) > 2 else 0.0
            assert float(found) == pytest.approx(float(expected), rel=0.05, abs=step)


def test_every_block_prints_what_the_page_shows(ran: Ran) -> None:
    assert len(ran.pairs) == 7
    for printed, shown in ran.pairs:
        assert_alike(printed, shown)


def test_the_search_of_arrays_is_that_of_the_file_it_keeps(ran: Ran) -> None:
    found = ran.names["found"]
    assert isinstance(found, tt.Found)
    kept = np.load("run/data.npz")
    np.testing.assert_array_equal(kept["x"], ran.names["x"])
    assert found.to_json()["data"] == f"npz:{Path('run', 'data.npz')}"
    assert found.scores["accuracy"] == found.accuracy > 0.8
    (target,) = found.targets
    assert target.project.verify(on="host", inputs="run/data.npz").accuracy == found.accuracy
    assert target.profile.to_json()["arena_bytes"] == target.project.arena_bytes
    assert found.report.read_text().startswith("<!")
    pixels = ran.names["x"].clip(0, 255).astype(np.uint8)
    assert list(found.project.classify(pixels)) == list(found.project.classify(pixels / 1.0))


def wishes(ran: Ran, **other: Any) -> dict[str, Any]:
    effort = {"supernet_epochs": 4, "evaluations": 8, "finalists": 1, "epochs": 30}
    known = {"data": (ran.names["x"], ran.names["y"]), "space": "image", "target": "nucleo-f446re"}
    limits = {"latency": "2ms", "ram": "8KiB", "flash": "24KiB", "out": "run"}
    return {**known, **limits, **effort, "quantized_epochs": 3, "allow_estimates": True, **other}


def test_a_project_over_its_budget_is_an_error_that_names_the_report(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions keep the budget; the emitted project may miss it by their error."""
    report = ran.names["found"].to_json()
    report["targets"][0]["budget"]["latency_ms"] = 0.001
    monkeypatch.setattr("tinytailor.api.searching.search_report", lambda order, watch: report)
    said = "nucleo-f446re is over the budget in latency_ms; its report is run/report.html"
    with pytest.raises(tt.BudgetError, match=said):
        tt.search(**wishes(ran))


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"latency": 2}, "latency=2: expected text with a unit, as '10ms'"),
        ({"latency": "2"}, "latency '2'"),
        ({"target": ["nucleo-f446re", "nucleo-f466re"]}, "no target is called 'nucleo-f466re'; di"),
        ({"data": [1, 2]}, "data is list, expected text as 'npz:FILE', arrays (x, y), or a dict"),
        ({"data": {"x": np.zeros((4, 8, 8, 1))}}, "data has no array y, expected x and y"),
        ({"data": {"x": [], "y": [], "subjects": []}}, "'subjects'; did you mean subject?"),
        (
            {"data": (np.zeros((4, 8, 8, 1)), [0, 1, 0, 1])},
            "data.npz holds other arrays; choose",
        ),
        (
            {"data": (np.zeros((4, 8, 8, 1)), [None] * 4)},
            "data: array y is list, expected an arr",
        ),
        ({"seed": 1}, "run holds a run with other settings: seed 0, now 1"),
        ({"metric": "acuracy"}, "no metric is called 'acuracy'; did you mean accuracy"),
        ({"out": "tables"}, "tables exists and is not a RUN folder"),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(
    ran: Ran, other: dict[str, Any], sentence: str
) -> None:
    before = sorted(Path("tables").iterdir())
    with pytest.raises(tt.InputError, match=re.escape(sentence)):
        tt.search(**wishes(ran, **other))
    assert sorted(Path("tables").iterdir()) == before


def test_command_and_function_have_the_same_options_with_the_same_defaults() -> None:
    fields = {one.name: one.default for one in dataclasses.fields(SearchOrder)}
    missing = {name for name, value in fields.items() if value is dataclasses.MISSING}
    for function, more in ((search.run, {"as_json"}), (tt.search, {"progress"})):
        given = inspect.signature(function).parameters
        assert given.keys() - more == fields.keys()
        without = {name for name, one in given.items() if one.default is inspect.Parameter.empty}
        assert without == missing == {"data", "target", "out"}
        assert all(given[name].default == fields[name] for name in fields.keys() - missing)


@pytest.mark.data
def test_the_lines_of_the_readme_print_what_it_says(
    repository: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("models/kws_int8.tflite", "inputs/kws01.npz"):
        shutil.copy(data_folder / "mlperf_tiny" / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    ((printed, shown),) = run((repository / "README.md").read_text()).pairs
    assert shown
    assert_alike(printed, shown)
