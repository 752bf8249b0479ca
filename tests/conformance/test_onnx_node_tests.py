# SPDX-License-Identifier: Apache-2.0
"""ONNX's node tests: none is wrong, none that passed fails, and the page of operators is theirs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import operators_page
import pytest
from node_tests import PASSED, WRONG, Result, all_results, cases, imported, integer_model

from tinytailor.compiler import compile_model, verify
from tinytailor.compiler.execute import execute
from tinytailor.targets import load_target

# one process, so that they run once
pytestmark = [pytest.mark.emulator, pytest.mark.tvm, pytest.mark.xdist_group("node-tests")]

ON_THE_DEVICE = ("test_conv_with_autopad_same", "test_depthtospace_example", "test_softmax_example")


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return all_results()


def test_no_node_test_gives_a_wrong_answer(results) -> None:
    print(dict(Counter(result.verdict for result in results)))
    assert [result for result in results if result.verdict == WRONG] == []
    assert all(result.reason for result in results if result.verdict != PASSED)


def test_every_refusal_is_a_sentence_and_not_an_exception(results) -> None:
    for result in results:
        assert "Traceback" not in result.reason
        assert "object has no attribute" not in result.reason, result


def test_what_passed_before_still_passes(results) -> None:
    expected = json.loads(operators_page.EXPECTED.read_text("utf-8"))
    now = {result.name: result for result in results}
    dropped = [
        (name, now[name].verdict, now[name].reason)
        for name in expected["passing"]
        if name in now and now[name].verdict != PASSED
    ]
    missing = [name for name in expected["passing"] if name not in now]
    assert dropped == []
    assert not missing or expected["onnx"] != onnx.__version__, missing


def test_the_page_of_operators_is_generated_from_these_results(results) -> None:
    expected = json.loads(operators_page.EXPECTED.read_text("utf-8"))
    if expected["onnx"] != onnx.__version__:
        pytest.skip(f"the page is of onnx {expected['onnx']}, here is {onnx.__version__}")
    written = operators_page.PAGE.read_text("utf-8")
    assert written == operators_page.page(results), "run python tests/conformance/operators_page.py"


@pytest.mark.parametrize("name", ON_THE_DEVICE)
def test_the_emulated_device_computes_node_tests_bit_for_bit(name: str, tmp_path: Path) -> None:
    model, inputs = next((model, inputs) for key, model, inputs in cases() if key == name)
    data, _ = integer_model(name, model, inputs)
    graph = imported(data, Path(f"{name}.onnx"))
    compile_model(graph, load_target("nucleo-l4r5zi"), tmp_path / "p", "model", model_sha256="")
    rng = np.random.default_rng(0)
    shape = graph.tensors[graph.inputs[0]].shape
    x = rng.integers(-128, 128, (4, *shape[1:])).astype(np.int8)
    report = verify(tmp_path / "p", "emulator", x)
    assert report["bit_exact"]
    np.testing.assert_array_equal(report["outputs"][0], execute(graph, x)[0])
