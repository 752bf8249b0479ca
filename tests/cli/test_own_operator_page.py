# SPDX-License-Identifier: Apache-2.0
"""docs/own-operator.md: its operator computes its meaning, and is measured as the page shows."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinytailor.compiler.mcu import kernel_image
from tinytailor.compiler.opkey import example_graph, make_key
from tinytailor.compiler.ops import OPERATORS
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.table.latency_table import describe
from tinytailor.targets import cross_toolchain, load_target, run

OPERATOR = "tinytailor.compiler.ops.abs_difference"
KERNELS = "tinytailor.compiler.kernels.abs_difference"


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs" / "own-operator.md").read_text()


@pytest.fixture
def operator(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's files, and its line in OPERATORS."""
    operator, plain, kernels, _ = code(page)
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "plain.py").write_text(plain)
    module = loaded(OPERATOR, tmp_path / "abs_difference.py", operator, monkeypatch)
    monkeypatch.delitem(sys.modules, f"{KERNELS}.plain", raising=False)
    loaded(KERNELS, folder / "__init__.py", kernels, monkeypatch)
    monkeypatch.setitem(OPERATORS, module.AbsDifference.kind, module.AbsDifference)
    return module


def code(page: str) -> list[str]:
    return [part.split("```")[0] for part in page.split("```python\n")[1:]]


def loaded(name: str, path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of this text, under the name it has on the page."""
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_operator_computes_its_meaning_on_the_emulated_core(operator, tmp_path):
    board = load_target("nucleo-f446re")
    graph = example_graph(make_key(operator.AbsDifference(), ((1, 8, 8, 8),) * 2, "dsp"))
    image = kernel_image([("kernel", graph)], board, cross_toolchain(), tmp_path)
    call = image.call(0, np.random.default_rng(0))
    (result,) = run(image.elf, board, [call])
    a, b = (np.frombuffer(buffer.data, np.int8) for buffer in call.buffers[:2])
    expected = operator.AbsDifference().reference((a, b), {})
    assert np.array_equal(np.frombuffer(result.outputs[0], np.int8), expected)


def test_it_is_measured_as_the_page_shows(cli, page, operator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code(page)[-1], "keys.py", "exec"), {})
    result = cli(
        "measure", "--target", "nucleo-f446re", "--keys", "keys.jsonl", "--out", "own.jsonl"
    )
    assert result.exit_code == 0, result.stderr
    table = LatencyTable.load("own.jsonl")
    found = {describe(key): (round(table[key].cycles), table[key].instructions) for key in table}
    rows = re.findall(r"^     (abs_difference 1x.*? on dsp) +(\d+) +(\d+)", page, re.M)
    assert {name for name, *_ in rows} == set(found)
    if "12.2.1" in table.header.toolchain_version:  # the compiler of the page
        assert {name: (int(cycles), int(count)) for name, cycles, count in rows} == found
