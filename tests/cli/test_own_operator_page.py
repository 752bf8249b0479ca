# SPDX-License-Identifier: Apache-2.0
"""docs/own-operator.md: its operator computes its meaning, is measured as the page shows, and is
what a node of a model becomes."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tinytailor.compiler import execute, load_model
from tinytailor.compiler.frontend.rules import CALLS, ONNX
from tinytailor.compiler.ops import OPERATORS
from tinytailor.compiler.testing import operators as kit
from tinytailor.compiler.testing.examples import examples_of
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.table.latency_table import describe
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

OPERATOR = "tinytailor.compiler.ops.abs_difference"
KERNELS = "tinytailor.compiler.kernels.abs_difference"


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs" / "own-operator.md").read_text()


@pytest.fixture
def operator(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's files, and its line in OPERATORS."""
    operator, plain, kernels, _, _ = code(page)
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


@pytest.mark.parametrize("check", kit.CHECKS, ids=lambda check: check.__name__)
def test_the_operator_passes_the_kit(operator, check):
    for example in examples_of(operator.AbsDifference):
        check(example)


def test_the_operator_computes_its_meaning_on_the_emulated_core(operator, tmp_path):
    examples = examples_of(operator.AbsDifference)
    assert len(examples) == 2
    kit.emitted_kernels_equal_the_meaning(examples, load_target("nucleo-f446re"), tmp_path)


def test_it_is_measured_as_the_page_shows(cli, page, operator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code(page)[3], "keys.py", "exec"), {})
    result = cli(
        "measure", "--target", "nucleo-f446re", "--keys", "keys.jsonl", "--out", "own.jsonl"
    )
    assert result.exit_code == 0, result.stderr
    table = LatencyTable.load("own.jsonl")
    model = load_target("nucleo-f446re").latency
    found = {
        describe(key): (round(row.cycles_under(model)), row.instructions)
        for key, row in table.rows.items()
    }
    rows = re.findall(r"^    (abs_difference 1x.*? on dsp) +(\d+) +(\d+)", page, re.M)
    assert {name for name, *_ in rows} == set(found)
    if "12.2.1" in table.header.toolchain_version:  # the compiler of the page
        assert {name: (int(cycles), int(count)) for name, cycles, count in rows} == found


@pytest.fixture
def rule(page: str, operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's rule file, and its line in the package."""
    name = "tinytailor.compiler.frontend.rules.abs_difference"
    declared = loaded(name, tmp_path / "rule.py", code(page)[4], monkeypatch).RULES
    for table, own in ((CALLS, declared.calls), (ONNX, declared.onnx)):
        for key, value in own.items():
            monkeypatch.setitem(table, key, value)


def differing(path: Path, behind: int = -128) -> Path:
    """Two inputs and what the page's node makes of them, QDQ."""
    constants = {"s": np.float32(0.1), "z": np.int8(3), "z_y": np.int8(behind)}
    nodes = []
    for name in "ab":
        nodes.append(helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", "s", "z"], [f"{name}_r"]))
    nodes.append(helper.make_node("AbsDifference", ["a_r", "b_r"], ["d"], "apart", domain="mine"))
    nodes.append(helper.make_node("QuantizeLinear", ["d", "s", "z_y"], ["d_q"]))
    nodes.append(helper.make_node("DequantizeLinear", ["d_q", "s", "z_y"], ["y"]))
    values = [helper.make_tensor_value_info(n, 1, (1, 6)) for n in "ab"]
    result = helper.make_tensor_value_info("y", 1, (1, 6))
    arrays = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "apart", values, [result], arrays)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    return path


def test_a_node_of_a_model_becomes_it(rule, tmp_path):
    graph = load_model(differing(tmp_path / "model.onnx"))
    assert [node.op.kind for node in graph.nodes] == ["abs_difference"]
    a, b = np.random.default_rng(0).integers(-128, 128, (2, 5, 6)).astype(np.int8)
    (y,) = execute(graph, a, b)
    real = np.abs(a.astype(np.float64) - b) * 0.1
    assert np.array_equal(y, np.clip(np.rint(real / 0.1) - 128, -128, 127).astype(np.int8))


def test_a_node_that_it_cannot_compute_is_refused_with_the_reason(rule, tmp_path):
    with pytest.raises(InputError, match=r"node apart .*zero point -128 behind it"):
        load_model(differing(tmp_path / "model.onnx", behind=0))


def test_without_its_line_the_node_is_refused_by_name(operator, tmp_path):
    with pytest.raises(InputError, match=r"mine.AbsDifference  node apart"):
        load_model(differing(tmp_path / "model.onnx"))
