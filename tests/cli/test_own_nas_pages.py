# SPDX-License-Identifier: Apache-2.0
"""docs/own-layer.md, own-quantizer.md, own-algorithm.md and the space of own-data.md: the file that
a page shows is registered with one line, passes its kit, and prints what the page says."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinytailor.latency_tables import LatencyTable
from tinytailor.nas.layers import KINDS
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.search import ALGORITHMS
from tinytailor.nas.spaces import SPACES
from tinytailor.nas.testing.spaces import CHECKS
from tinytailor.targets import load_target

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]

TABLES_COMPILER = "12.2.1"


def blocks(page: str) -> list[str]:
    """The Python files of a page."""
    return [part.split("```")[0] for part in page.split("```python\n")[1:]]


def printed(page: str, command: str) -> list[str]:
    """What a page shows below a command, without blanks at either end."""
    below = page.split(f"    $ {command}\n")[1]
    shown = re.match(r"(    .*\n)+", below)
    assert shown is not None, command
    return [line.strip() for line in shown[0].splitlines()]


@pytest.fixture
def module(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], tuple[ModuleType, str]]:
    """(page, module name) -> the module of the first block of the page, and the page."""

    def load(name: str, module_name: str) -> tuple[ModuleType, str]:
        page = (repository / "docs" / name).read_text()
        path = tmp_path / f"{module_name.rsplit('.', 1)[1]}.py"
        path.write_text(blocks(page)[0])
        spec = importlib.util.spec_from_file_location(f"tinytailor.nas.{module_name}", path)
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, made)
        spec.loader.exec_module(made)
        monkeypatch.chdir(tmp_path)
        return made, page

    return load


def run_check(page: str) -> None:
    exec(compile(blocks(page)[1], "check.py", "exec"), {"__name__": "check"})


@pytest.mark.parametrize(
    ("name", "module_name", "registry", "key", "value"),
    [
        ("own-layer.md", "layers.squash", KINDS, "squash", "Squash"),
        (
            "own-quantizer.md",
            "quantization.power_of_two",
            QUANTIZERS,
            "power_of_two",
            "PowerOfTwo",
        ),
        (
            "own-algorithm.md",
            "search.most_products",
            ALGORITHMS,
            "most_products",
            "most_products",
        ),
    ],
    ids=["layer", "quantizer", "algorithm"],
)
def test_what_a_page_shows_passes_its_kit_and_prints_what_the_page_says(
    module: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    module_name: str,
    registry: dict[str, Any],
    key: str,
    value: str,
) -> None:
    made, page = module(name, module_name)
    own = getattr(made, value)
    monkeypatch.setitem(registry, key, own() if registry is QUANTIZERS else own)
    run_check(page)
    assert capsys.readouterr().out.splitlines() == printed(page, "python check.py")


def test_the_operators_of_the_layer_are_measured_as_the_page_shows(
    cli: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, page = module("own-layer.md", "layers.squash")
    monkeypatch.setitem(KINDS, "squash", made.Squash)
    *_, keys = blocks(page)[1].partition("alone =")
    imports = [line for line in blocks(page)[1].splitlines() if "import" in line]
    exec("\n".join([*imports, "alone =" + keys]), {})
    words = "measure --target nucleo-f446re --keys keys.jsonl --out own.jsonl"
    result = cli(*words.split())
    assert result.exit_code == 0, result.stderr
    table = LatencyTable.load("own.jsonl")
    shown = [line.split() for line in printed(page, f"tinytailor {words}")[1:-1]]
    assert [row[0] for row in shown] == [key.kind for key in sorted(table)]
    if TABLES_COMPILER in table.header.toolchain_version:
        model = load_target("nucleo-f446re").latency
        cycles = [round(table[key].cycles_under(model)) for key in sorted(table)]
        assert [int(row[-1]) for row in shown] == cycles


def test_the_space_of_the_page_passes_the_kit_and_is_found_by_name(
    cli: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, page = module("own-data.md", "spaces.plain")
    for check in CHECKS:
        check(made.PLAIN)
    monkeypatch.setitem(SPACES, "plain", made.PLAIN)
    (line,) = re.findall(r"^    \$ tinytailor (measure .*--space plain.*)$", page, re.M)
    result = cli(*line.split())
    assert result.exit_code == 0, result.stderr
    table = LatencyTable.load("plain.jsonl")
    assert set(table) == set(made.PLAIN.make(8, 8, 1, 2).keys("dsp"))


def test_the_page_of_spaces_has_a_row_for_each(repository: Path) -> None:
    page = (repository / "docs" / "spaces.md").read_text()
    for name, kind in SPACES.items():
        assert f"| `{name}:{'x'.join(map(str, kind.example))}` |" in page


@pytest.mark.nightly
def test_the_page_of_spaces_is_true(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by benchmarks/spaces_page.py --write."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    assert importlib.import_module("spaces_page").page() == (
        repository / "docs" / "spaces.md"
    ).read_text("utf-8")
