# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny models: the outputs of LiteRT on real inputs, and the cost reached before."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest
from tiers import nightly_but

from tinytailor.compiler import compile_model, load_model, verify
from tinytailor.compiler.references import litert
from tinytailor.targets import cross_toolchain, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

TFLM_ARENA = {"kws": 22_820, "ic": 54_996}  # TFLM with CMSIS-NN, recorded arena
SAMPLES_IC = 12
RIGHT_KWS = {200: 183, 1000: 902}  # of so many first inputs


@pytest.fixture(scope="module")
def benchmark(repository):
    path = repository / "benchmarks" / "mcu_models.py"
    spec = importlib.util.spec_from_file_location("mcu_models", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mcu_models"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("count", nightly_but((200,), (200, 1000)))
def test_keyword_spotting_on_the_emulated_device_equals_litert_on_all_inputs(
    data_folder, tmp_path, count
):
    graph = load_model(data_folder / "mlperf_tiny/models/kws_int8.tflite")
    compile_model(graph, load_target("nucleo-l4r5zi"), tmp_path / "kws", "kws", model_sha256="")
    stored = np.load(data_folder / "mlperf_tiny/inputs/kws01.npz")
    x = stored["x"].reshape(1000, *graph.tensors[graph.inputs[0]].shape[1:])[:count]
    report = verify(tmp_path / "kws", "emulator", x)
    (y,) = report["outputs"]
    assert report["bit_exact"]
    assert int((y == stored["tflite_xnnpack"][:count]).all(axis=1).sum()) == count
    assert int((y.argmax(axis=1) == stored["y"][:count]).sum()) == RIGHT_KWS[count]


def test_image_classification_on_the_emulated_device_equals_litert(data_folder, tmp_path):
    """On these inputs every row. Over 100 photos one element of 1000 is one step off (photo 0):
    LiteRT rounds in float32, where a product can fall on an exact half that ours does not."""
    pytest.importorskip("ai_edge_litert")
    model = data_folder / "mlperf_tiny/models/ic_resnet8_int8.tflite"
    graph = load_model(model)
    compile_model(graph, load_target("nucleo-l4r5zi"), tmp_path / "ic", "ic", model_sha256="")
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (SAMPLES_IC, 32, 32, 3)).astype(np.int8)
    photos = np.load(data_folder / "cifar10/cifar10_train100_lossless.npz")
    pictures = photos["x"][1 : 1 + SAMPLES_IC // 2]
    x[: len(pictures)] = (pictures.astype(np.int16) - 128).astype(np.int8)
    report = verify(tmp_path / "ic", "emulator", x)
    assert report["bit_exact"]
    interpreter = litert(model)
    for sample, ours in zip(x, report["outputs"][0], strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample[None])
        interpreter.invoke()
        theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_array_equal(ours, theirs[0])


@pytest.mark.parametrize("model", ["kws", "ic"])
@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "nucleo-l552ze-q", "nucleo-g0b1re"])
def test_cost_of_a_reference_model_is_the_baseline(benchmark, data_folder, model, board):
    """A change of these numbers belongs into the baseline, by benchmarks/mcu_models.py --write."""
    baseline = json.loads(benchmark.BASELINE.read_text())
    expected = baseline["rows"][f"{model} {board}"]
    actual = benchmark.measure(model, board, data_folder)
    assert actual["arena_bytes"] == expected["arena_bytes"]
    assert actual["arena_bytes"] < TFLM_ARENA[model]
    if cross_toolchain().version != baseline["toolchain"]:
        pytest.skip(f"instructions: baseline is of {baseline['toolchain']}")
    assert {c: actual[c] for c in benchmark.COLUMNS} == expected


@pytest.mark.parametrize(
    "board", nightly_but(("nucleo-l4r5zi",), ("nucleo-l4r5zi", "nucleo-g0b1re"))
)
def test_image_classification_compiles_with_the_compiler_from_pip(
    data_folder, tmp_path, monkeypatch, board
):
    monkeypatch.setenv("TINYTAILOR_CC", "zig")
    graph = load_model(data_folder / "mlperf_tiny" / "models" / "ic_resnet8_int8.tflite")
    manifest = compile_model(graph, load_target(board), tmp_path / "ic", "ic", model_sha256="")
    assert manifest["bit_exact"]
    assert manifest["provenance"]["toolchain"].startswith("zig")
    assert manifest["stack_bytes"] >= manifest["stack_seen_bytes"]
